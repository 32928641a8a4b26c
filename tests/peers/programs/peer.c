/*
 * What the tests ask of an application (see tests/peers/__init__.py), on libfcgi.
 *
 *     peer ADDRESS    4 processes at ":port" or a socket's path, begun anew when one ends
 *     peer            as CGI, or as FastCGI on descriptor 0 when that is a socket
 */
#include <ctype.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcgiapp.h>
#include <fcgi_stdio.h>

extern char **environ;

static char block[65536];

/* The value of a field of the query string, decoded, or "". */
static const char *field(const char *name)
{
    static char values[4][1024];
    static unsigned turn;
    char *value = values[turn++ & 3], *end = value + sizeof values[0] - 1;
    const char *p = getenv("QUERY_STRING");
    size_t length = strlen(name);

    *value = 0;
    for (; p; p = strchr(p, '&') ? strchr(p, '&') + 1 : NULL) {
        char *to = value, hex[3] = "";
        if (strncmp(p, name, length) || p[length] != '=')
            continue;
        for (p += length + 1; *p && *p != '&' && to < end; p++) {
            if (*p == '%' && isxdigit(p[1]) && isxdigit(p[2])) {
                hex[0] = p[1], hex[1] = p[2];
                *to++ = strtoul(hex, NULL, 16);
                p += 2;
            } else {
                *to++ = *p;
            }
        }
        *to = 0;
        return value;
    }
    return value;
}

static unsigned long number(const char *name) { return strtoul(field(name), NULL, 10); }

static void quoted(const char *p, const char *end)
{
    putchar('"');
    for (; p < end; p++) {
        unsigned char c = *p;
        if (c < 32 || c > 126 || c == '"' || c == '\\')
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void head(const char *type)
{
    printf("Content-Type: %s\r\n", type);
}

static void environment(void)
{
    char **pair;
    head("application/json\r\n");
    for (pair = environ; *pair; pair++) {
        char *value = strchr(*pair, '=');
        if (!value)
            continue;
        putchar('[');
        quoted(*pair, value);
        putchar(',');
        quoted(value + 1, value + strlen(value));
        printf("]\n");
    }
}

static uint32_t crc(uint32_t sum, const char *p, size_t count)
{
    static uint32_t table[256];
    unsigned i, bit;
    for (i = 0; !table[255] && i < 256; i++)
        for (table[i] = i, bit = 0; bit < 8; bit++)
            table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320 : 0);
    for (sum = ~sum; count--; p++)
        sum = table[(sum ^ *p) & 255] ^ sum >> 8;
    return ~sum;
}

static void count(void)
{
    static char part[65536];
    unsigned long long length = 0;
    uint32_t sum = 0;
    size_t got;
    while ((got = fread(part, 1, sizeof part, stdin)) > 0) {
        sum = crc(sum, part, got);
        length += got;
    }
    head("text/plain\r\n");
    printf("%llu %08x\n", length, sum);
}

static void stream(unsigned long long left)
{
    head("application/octet-stream\r\n");
    while (left) {
        size_t part = left < sizeof block ? left : sizeof block;
        if (fwrite(block, 1, part, stdout) != part)
            return;
        left -= part;
    }
}

/* Wait until a file is there; after a minute, die. */
static void await(const char *path)
{
    struct stat s;
    int turn;
    for (turn = 0; stat(path, &s); turn++) {
        if (turn == 6000)
            abort();
        usleep(10000);
    }
}

static void touch(const char *path)
{
    FILE *f = fopen(path, "w");
    if (f)
        fclose(f);
}

static void events(void)
{
    char path[1100];
    unsigned long n;
    head("text/event-stream\r\n");
    for (n = 0; n < number("count"); n++) {
        if (n) {
            snprintf(path, sizeof path, "%s/%lu", field("gates"), n);
            await(path);
        }
        printf("data: %lu\n\n", n);
        fflush(stdout);
    }
}

static void meet(void)
{
    char path[1100];
    unsigned long n;
    snprintf(path, sizeof path, "%s/%s", field("place"), field("name"));
    touch(path);
    for (n = 0; n < number("count"); n++) {
        snprintf(path, sizeof path, "%s/%lu", field("place"), n);
        await(path);
    }
    head("text/plain\r\n");
    printf("met\n");
}

static void forever(void)
{
    int turn;
    head("text/plain\r\n");
    for (turn = 0; turn < 6000; turn++) {
        if (fwrite(block, 1, 1024, stdout) != 1024 || fflush(stdout))
            break;
        usleep(10000);
    }
    if (turn < 6000)
        touch(field("marker"));
}

static void request(void)
{
    const char *what = field("do");
    if (!strcmp(what, "env")) {
        environment();
    } else if (!strcmp(what, "count")) {
        count();
    } else if (!strcmp(what, "stream")) {
        stream(strtoull(field("bytes"), NULL, 10));
    } else if (!strcmp(what, "stderr")) {
        fprintf(stderr, "%s\n", field("text"));
        head("text/plain\r\n");
        printf("said\n");
    } else if (!strcmp(what, "exit")) {
        head("text/plain");
        printf("Content-Length: 100000\r\n\r\n%.1000s", block);
        fflush(stdout);
        raise(SIGKILL);
    } else if (!strcmp(what, "events")) {
        events();
    } else if (!strcmp(what, "meet")) {
        meet();
    } else if (!strcmp(what, "forever")) {
        forever();
    } else {
        printf("Status: 404 Not Found\r\n");
        head("text/plain\r\n");
    }
}

int main(int words, char **word)
{
    size_t i;
    int n, fd;

    for (i = 0; i < sizeof block; i++)
        block[i] = 'a' + i % 23;
    signal(SIGPIPE, SIG_IGN);
    if (words > 1) {
        FCGX_Init();
        if ((fd = FCGX_OpenSocket(word[1], 64)) < 0)
            return 1;
        dup2(fd, 0);
        for (n = 0; n < 4 || wait(NULL) > 0; n++) {
            if (!fork()) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                goto serve;
            }
        }
        return 0;
    }
serve:
    while (FCGI_Accept() >= 0)
        request();
    return 0;
}
