/*
 * A load generator that costs little and counts what goes wrong: one thread, epoll.
 *
 *     loader -p PORT [-u TARGET] [-c CONNECTIONS] [-n REQUESTS] [-d SECONDS] [-t TIMEOUT]
 *            [-b BODY] [-f] [-r RATE] [-i IDLE] [-H FIELD]...
 *
 * Each connection sends one request after another (-f: a fresh connection for each) until
 * REQUESTS were begun or SECONDS went by.  The connections begin at once, or RATE in a
 * second.  BODY bytes are posted with a Content-Length.  With IDLE, each connection sends
 * one request and then stays open, until all have been idle for so many seconds.
 * A request counts when its answer is a 200 whose body came whole by its own framing
 * (Content-Length, chunks, or the end of the connection), and whose connection was closed
 * when that was said; everything else is an error.
 * Prints one line: name=value pairs, times in microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 1 << 18, LARGEST_HEAD = 8192, BLOCK = 1 << 16 };
enum framing { HEAD, LENGTH, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER, TO_END, ENDED };

struct connection {
    int fd, writing, last, resting;
    char head[LARGEST_HEAD];
    size_t have;
    enum framing framing;
    unsigned long long left, sent;     /* of the answer's body; of the request */
    int status;
    double began;
};

static int poller, port, fresh;
static char *request;
static size_t request_length;
static unsigned long long body_length;
static char block[BLOCK];
static unsigned long wanted = ~0UL, begun, done, bad_status, broken, refused, timed_out, open_count;
static unsigned long resting;
static unsigned long long bytes;
static uint32_t *times;
static size_t times_room;
static double stop_at, idle;
static char complaint[200];

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void complain(struct connection *c, const char *what)
{
    if (!*complaint)
        snprintf(complaint, sizeof complaint, "%s after %zu bytes of head, errno %d", what,
                 c->have, errno);
}

static void watch(struct connection *c, int writing)
{
    struct epoll_event e = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
    if (c->writing != writing) {
        c->writing = writing;
        epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
    }
}

static void hang_up(struct connection *c)
{
    if (c->fd >= 0) {
        close(c->fd);
        c->fd = -1;
        open_count--;
    }
}

static void dial(struct connection *c)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    open_count++;
    c->writing = 1;
    if (connect(c->fd, (struct sockaddr *)&a, sizeof a) && errno != EINPROGRESS) {
        refused++;
        complain(c, "connect");
        hang_up(c);
        return;
    }
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
}

/* The next request of this connection, or its end. */
static void next(struct connection *c)
{
    if (idle && c->began && c->fd >= 0 && !c->last) {
        c->resting = 1;
        resting++;
        return;
    }
    if (begun >= wanted || now() >= stop_at) {
        hang_up(c);
        return;
    }
    begun++;
    c->have = 0;
    c->framing = HEAD;
    c->sent = 0;
    c->began = now();
    if (fresh || c->last || c->fd < 0) {
        hang_up(c);
        c->last = 0;
        dial(c);
    }
}

static int send_some(struct connection *c)
{
    unsigned long long whole = request_length + body_length;
    while (c->sent < whole) {
        ssize_t n;
        if (c->sent < request_length) {
            n = send(c->fd, request + c->sent, request_length - c->sent,
                     body_length ? MSG_MORE : 0);
        } else {
            unsigned long long left = whole - c->sent;
            n = send(c->fd, block, left < BLOCK ? left : BLOCK, 0);
        }
        if (n < 0) {
            if (errno != EAGAIN)
                return -1;
            watch(c, 1);
            return 0;
        }
        c->sent += n;
    }
    watch(c, 0);
    return 0;
}

static void finished(struct connection *c)
{
    if (c->last && c->framing != TO_END && c->framing != ENDED) {
        c->framing = ENDED;            /* so that TIME_WAIT is the server's */
        return;
    }
    if (c->status == 200) {
        if (done == times_room) {
            times_room = times_room ? times_room * 2 : 65536;
            times = realloc(times, times_room * sizeof *times);
            if (!times)
                abort();
        }
        times[done++] = (now() - c->began) * 1e6;
    } else {
        bad_status++;
        if (!*complaint)
            snprintf(complaint, sizeof complaint, "status %d", c->status);
    }
    next(c);
    if (c->fd >= 0 && !c->sent && !c->writing && send_some(c)) {
        broken++;
        complain(c, "write");
        c->last = 1;
        next(c);
    }
}

/* What the head says about the body. */
static void head_read(struct connection *c)
{
    char *line;
    c->status = atoi(c->head + 9);
    c->framing = TO_END;
    for (line = strstr(c->head, "\r\n"); line && line[2]; line = strstr(line, "\r\n")) {
        line += 2;
        if (!strncasecmp(line, "content-length:", 15)) {
            c->framing = LENGTH;
            c->left = strtoull(line + 15, NULL, 10);
        } else if (!strncasecmp(line, "transfer-encoding: chunked", 26)) {
            c->framing = CHUNK_SIZE;
            c->left = 0;
        } else if (!strncasecmp(line, "connection: close", 17)) {
            c->last = 1;
        }
    }
}

/* Returns -1 when the answer can't be understood. */
static int received(struct connection *c, const char *p, const char *end)
{
    while (p < end) {
        switch (c->framing) {
        case HEAD:
            if (c->have == LARGEST_HEAD - 1)
                return -1;
            c->head[c->have++] = *p++;
            if (c->have >= 4 && !memcmp(c->head + c->have - 4, "\r\n\r\n", 4)) {
                c->head[c->have] = 0;
                if (c->have < 16 || memcmp(c->head, "HTTP/1.", 7))
                    return -1;
                head_read(c);
                if (c->status == 100) {
                    c->have = 0;
                    c->framing = HEAD;
                } else if (c->framing == LENGTH && !c->left) {
                    finished(c);
                    return p == end ? 0 : -1;
                }
            }
            break;
        case LENGTH:
        case CHUNK: {
            size_t take = c->left < (size_t)(end - p) ? c->left : (size_t)(end - p);
            p += take;
            bytes += take;
            c->left -= take;
            if (!c->left && c->framing == LENGTH) {
                finished(c);
                return p == end ? 0 : -1;
            }
            if (!c->left)
                c->framing = CHUNK_END;
            break;
        }
        case CHUNK_SIZE: {
            int digit = *p >= '0' && *p <= '9' ? *p - '0'
                      : (*p | 32) >= 'a' && (*p | 32) <= 'f' ? (*p | 32) - 'a' + 10 : -1;
            if (digit >= 0)
                c->left = c->left << 4 | digit;
            else if (*p == '\n')
                c->framing = c->left ? CHUNK : TRAILER;
            else if (*p != '\r')
                return -1;
            p++;
            break;
        }
        case CHUNK_END:
            if (*p++ == '\n') {
                c->framing = CHUNK_SIZE;
                c->left = 0;
            }
            break;
        case TRAILER:                  /* no trailers are expected */
            if (*p++ == '\n') {
                finished(c);
                return p == end ? 0 : -1;
            }
            break;
        case TO_END:
            bytes += end - p;
            p = end;
            break;
        case ENDED:
            return -1;
        }
    }
    return 0;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t quantile(double part)
{
    return done ? times[(size_t)(part * (done - 1))] : 0;
}

int main(int count, char **words)
{
    static char in[READ_SIZE], fields[65536];
    const char *target = "/";
    unsigned long connections = 1, i = 0;
    double seconds = 1e9, timeout = 30, rate = 1e9, start, silence, quiet;
    struct epoll_event events[512];
    struct connection *all;
    struct rlimit files;
    int option;

    while ((option = getopt(count, words, "p:u:c:n:d:t:b:fr:i:H:")) > 0) {
        switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'u': target = optarg; break;
        case 'c': connections = strtoul(optarg, NULL, 10); break;
        case 'n': wanted = strtoul(optarg, NULL, 10); break;
        case 'd': seconds = atof(optarg); break;
        case 't': timeout = atof(optarg); break;
        case 'b': body_length = strtoull(optarg, NULL, 10); break;
        case 'f': fresh = 1; break;
        case 'r': rate = atof(optarg); break;
        case 'i': idle = atof(optarg); break;
        case 'H':
            if (strlen(fields) + strlen(optarg) + 3 > sizeof fields)
                return 2;
            strcat(strcat(fields, optarg), "\r\n");
            break;
        default: return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (fresh)
        strcat(fields, "Connection: close\r\n");
    if (body_length)
        sprintf(fields + strlen(fields), "Content-Length: %llu\r\n", body_length);
    request_length = asprintf(&request, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%s\r\n",
                              body_length ? "POST" : "GET", target, port, fields);
    memset(block, 'x', sizeof block);
    poller = epoll_create1(0);
    all = calloc(connections, sizeof *all);
    start = silence = quiet = now();
    stop_at = start + seconds;
    while (open_count || i < connections) {
        for (; i < connections && i < 1 + (now() - start) * rate; i++) {
            all[i].fd = -1;
            next(&all[i]);
        }
        int ready = epoll_wait(poller, events, 512, i < connections ? 1 : 100), k;
        if (ready > 0)
            silence = now();
        else if (now() - silence > timeout)
            break;
        if (i < connections || resting < open_count)
            quiet = now();
        else if (idle && now() - quiet > idle)
            break;
        for (k = 0; k < ready; k++) {
            struct connection *c = events[k].data.ptr;
            ssize_t got = -1;
            if (c->fd < 0)
                continue;
            if (events[k].events & EPOLLOUT && send_some(c)) {
                broken++;
                complain(c, "write");
                c->last = 1;
                next(c);
                continue;
            }
            if (!(events[k].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                continue;
            got = read(c->fd, in, sizeof in);
            if (got > 0 && received(c, in, in + got) == 0)
                continue;
            if (got < 0 && errno == EAGAIN)
                continue;
            if (c->resting) {
                broken++;
                complain(c, "closed while idle");
                resting--;
                c->resting = 0;
                hang_up(c);
                continue;
            }
            if (got == 0 && (c->framing == TO_END || c->framing == ENDED)) {
                c->last = 1;
                finished(c);
                continue;
            }
            broken++;
            complain(c, got > 0 ? "bad answer" : "early end");
            c->last = 1;
            next(c);
        }
    }
    timed_out = open_count - resting;
    qsort(times, done, sizeof *times, by_size);
    printf("done=%lu seconds=%.6f bytes=%llu p50=%u p90=%u p99=%u max=%u status=%lu broken=%lu "
           "refused=%lu timeout=%lu%s%s\n", done, now() - start, bytes, quantile(.5), quantile(.9),
           quantile(.99), quantile(1), bad_status, broken, refused, timed_out,
           *complaint ? " complaint=" : "", complaint);
    return 0;
}
