/*
 * A FastCGI responder that is never the bottleneck: one thread, epoll,
 * keep-conn, multiplexing, one read and one write for a small request.
 *
 *     responder PORT|PATH...        prints "ready" once it listens at all of them
 *
 * The target (REQUEST_URI) says what is answered, once stdin has ended:
 *
 *     /bytes/N          N bytes
 *     /                 100 bytes, and so for all that begins with /blog/
 *     /delay/MS         "done", after MS milliseconds
 *     /upload           the count of stdin's bytes; status 400 unless CONTENT_LENGTH
 *     /stats            connections accepted, requests begun, aborts seen
 *     ...?record=N      stdout records of at most N bytes, 65528 by default
 *
 * As PHP does, it gives a Content-Type and leaves the length open.
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
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { BEGIN = 1, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES };
enum { HEADER = 8, LARGEST_RECORD = 65528, LARGEST_PARAMS = 1 << 20, READ_SIZE = 1 << 18,
       WRITE_SIZE = 1 << 18, ROOM = 1024 };

struct connection;

struct stream {
    struct connection *connection;
    struct stream *next;          /* in the connection's queue of those that have output */
    unsigned id;
    int keep;
    char *params;
    size_t params_length, params_room;
    unsigned long long stdin_length;
    char head[256];
    size_t head_length;
    unsigned long long body_left;
    size_t record;
    double due;
    size_t place;                 /* in the heap, from 1; 0: not there */
};

struct connection {
    int fd;
    struct stream **streams;      /* by id */
    size_t streams_room;
    struct stream *first, *last;  /* with output */
    unsigned char header[HEADER];
    size_t have, content, padding;
    char *out;                    /* what the socket did not take; NULL: nothing */
    size_t out_start, out_end;
    int keep, writing, closing, dead, listening;
};

static int poller;
static unsigned long accepted, begun, aborted;
static char block[LARGEST_RECORD], shared[WRITE_SIZE];
static struct stream **heap;
static size_t heap_count, heap_room;
static struct connection *graveyard[4096];
static size_t graves;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void *grown(void *old, size_t *room, size_t wanted, size_t each)
{
    size_t to = *room ? *room : 16;
    if (wanted <= *room)
        return old;
    while (to < wanted)
        to *= 2;
    old = realloc(old, to * each);
    if (!old)
        abort();
    memset((char *)old + *room * each, 0, (to - *room) * each);
    *room = to;
    return old;
}

/* --- delayed answers: a binary heap ------------------------------------- */

static void heap_put(struct stream *s, size_t at) { heap[at] = s; s->place = at; }

static void heap_settle(struct stream *s, size_t at)
{
    while (at > 1 && heap[at / 2]->due > s->due) {
        heap_put(heap[at / 2], at);
        at /= 2;
    }
    for (;;) {
        size_t child = 2 * at;
        if (child > heap_count)
            break;
        if (child < heap_count && heap[child + 1]->due < heap[child]->due)
            child++;
        if (heap[child]->due >= s->due)
            break;
        heap_put(heap[child], at);
        at = child;
    }
    heap_put(s, at);
}

static void heap_add(struct stream *s)
{
    heap = grown(heap, &heap_room, heap_count + 2, sizeof *heap);
    heap_settle(s, ++heap_count);
}

static void heap_remove(struct stream *s)
{
    size_t at = s->place;
    struct stream *last = heap[heap_count--];
    s->place = 0;
    if (last != s)
        heap_settle(last, at);
}

/* --- output ---------------------------------------------------------------- */

static void watch(struct connection *c, int writing)
{
    struct epoll_event e = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.ptr = c};
    if (c->writing != writing) {
        c->writing = writing;
        epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
    }
}

static void put_header(struct connection *c, int type, unsigned id, size_t content, size_t padding)
{
    unsigned char *p = (unsigned char *)c->out + c->out_end;
    p[0] = 1, p[1] = type, p[2] = id >> 8, p[3] = id, p[4] = content >> 8, p[5] = content;
    p[6] = padding, p[7] = 0;
    c->out_end += HEADER;
}

static void put(struct connection *c, const void *bytes, size_t count)
{
    memcpy(c->out + c->out_end, bytes, count);
    c->out_end += count;
}

static void stream_free(struct stream *s)
{
    if (s->place)
        heap_remove(s);
    s->connection->streams[s->id] = NULL;
    free(s->params);
    free(s);
}

static void connection_free(struct connection *c)
{
    size_t i;
    if (c->dead)
        return;
    c->dead = 1;
    for (i = 0; i < c->streams_room; i++)
        if (c->streams[i])
            stream_free(c->streams[i]);
    free(c->streams);
    if (c->out != shared)
        free(c->out);
    close(c->fd);
    if (graves < sizeof graveyard / sizeof *graveyard)
        graveyard[graves++] = c;      /* an event of this turn may still name it */
}

/* The socket is full: what is left moves out of the shared buffer. */
static void postpone(struct connection *c)
{
    if (c->out == shared) {
        c->out = malloc(WRITE_SIZE);
        if (!c->out)
            abort();
        memcpy(c->out, shared + c->out_start, c->out_end - c->out_start);
        c->out_end -= c->out_start;
        c->out_start = 0;
    }
    watch(c, 1);
}

/* Write what the streams have, in turns of a record, until the socket is full. */
static void flush(struct connection *c)
{
    if (!c->out)
        c->out = shared;
    for (;;) {
        if (c->out_start == c->out_end) {
            c->out_start = c->out_end = 0;
            while (c->first && WRITE_SIZE - c->out_end > LARGEST_RECORD + ROOM) {
                struct stream *s = c->first;
                size_t body = s->body_left, padding;
                if (body > s->record - s->head_length)
                    body = s->record - s->head_length;
                padding = -(s->head_length + body) & 7;
                if (s->head_length + body) {
                    put_header(c, STDOUT, s->id, s->head_length + body, padding);
                    put(c, s->head, s->head_length);
                    put(c, block, body);
                    put(c, block, padding);
                }
                s->head_length = 0;
                s->body_left -= body;
                c->first = s->next;
                if (s->body_left) {
                    s->next = NULL;
                    if (c->first)
                        c->last->next = s;
                    else
                        c->first = s;
                    c->last = s;
                } else {
                    put_header(c, STDOUT, s->id, 0, 0);
                    put_header(c, END, s->id, 8, 0);
                    put(c, "\0\0\0\0\0\0\0\0", 8);
                    c->closing |= !s->keep;
                    stream_free(s);
                }
            }
        }
        if (c->out_start == c->out_end)
            break;
        ssize_t sent = write(c->fd, c->out + c->out_start, c->out_end - c->out_start);
        if (sent < 0) {
            if (errno == EAGAIN)
                postpone(c);
            else
                connection_free(c);
            return;
        }
        c->out_start += sent;
    }
    if (c->out != shared)
        free(c->out);
    c->out = NULL;
    if (c->closing)
        connection_free(c);
    else
        watch(c, 0);
}

static void answer(struct stream *s)
{
    struct connection *c = s->connection;
    s->next = NULL;
    if (c->first)
        c->last->next = s;
    else
        c->first = s;
    c->last = s;
}

/* --- requests ---------------------------------------------------------------- */

static size_t pair_length(const unsigned char **p, const unsigned char *end)
{
    size_t length = *p < end ? *(*p)++ : 0;
    if (length & 128) {
        if (end - *p < 3)
            return SIZE_MAX / 4;
        length = (length & 127) << 24 | (*p)[0] << 16 | (*p)[1] << 8 | (*p)[2];
        *p += 3;
    }
    return length;
}

static void param(struct stream *s, const char *wanted, char *into, size_t room)
{
    const unsigned char *p = (unsigned char *)s->params, *end = p + s->params_length;
    *into = 0;
    while (p < end) {
        size_t name = pair_length(&p, end), value = pair_length(&p, end);
        if (name + value > (size_t)(end - p))
            return;
        if (name == strlen(wanted) && !memcmp(p, wanted, name) && value < room) {
            memcpy(into, p + name, value);
            into[value] = 0;
            return;
        }
        p += name + value;
    }
}

static void stdin_ended(struct stream *s)
{
    char target[256], length[32], text[128] = "done\n", *query;
    const char *status = "";
    param(s, "REQUEST_URI", target, sizeof target);
    s->record = LARGEST_RECORD;
    if ((query = strstr(target, "record=")))
        s->record = strtoul(query + 7, NULL, 10);
    if (s->record < sizeof s->head || s->record > LARGEST_RECORD)
        s->record = LARGEST_RECORD;
    if (!strncmp(target, "/bytes/", 7)) {
        s->body_left = strtoull(target + 7, NULL, 10);
        *text = 0;
    } else if (!strncmp(target, "/upload", 7)) {
        param(s, "CONTENT_LENGTH", length, sizeof length);
        if (strtoull(length, NULL, 10) != s->stdin_length)
            status = "Status: 400 Bad Request\r\n";
        snprintf(text, sizeof text, "%llu\n", s->stdin_length);
    } else if (!strncmp(target, "/stats", 6)) {
        snprintf(text, sizeof text, "%lu %lu %lu\n", accepted, begun, aborted);
    } else if (!strcmp(target, "/") || !strncmp(target, "/blog/", 6)) {
        s->body_left = 100;
        *text = 0;
    } else if (strncmp(target, "/delay/", 7)) {
        status = "Status: 404 Not Found\r\n";
    }
    s->head_length = snprintf(s->head, sizeof s->head,
                              "%sContent-Type: text/plain; charset=utf-8\r\n\r\n%s", status, text);
    if (!strncmp(target, "/delay/", 7)) {
        s->due = now() + strtoul(target + 7, NULL, 10) / 1e3;
        heap_add(s);
    } else {
        answer(s);
    }
}

static void begin(struct connection *c, unsigned id, int keep)
{
    struct stream *s = calloc(1, sizeof *s);
    c->streams = grown(c->streams, &c->streams_room, id + 1, sizeof *c->streams);
    if (!s || c->streams[id])
        abort();
    begun++;
    s->connection = c;
    s->id = id;
    s->keep = keep;
    c->streams[id] = s;
}

/* A part of a record's content; `whole` when nothing of it is missing. */
static void content(struct connection *c, const char *bytes, size_t count, int whole)
{
    int type = c->header[1];
    unsigned id = c->header[2] << 8 | c->header[3];
    struct stream *s = id < c->streams_room ? c->streams[id] : NULL;
    size_t length = c->header[4] << 8 | c->header[5], start = length - c->content - count;

    if (type == BEGIN) {
        if (start <= 2 && 2 < start + count)
            c->keep = bytes[2 - start] & 1;
        if (whole)
            begin(c, id, c->keep);
    } else if (type == PARAMS && s) {
        if (s->params_length + count > LARGEST_PARAMS) {
            c->closing = 1;
            return;
        }
        s->params = grown(s->params, &s->params_room, s->params_length + count, 1);
        memcpy(s->params + s->params_length, bytes, count);
        s->params_length += count;
    } else if (type == STDIN && s) {
        s->stdin_length += count;
        if (!length)
            stdin_ended(s);
    } else if (type == ABORT && s && whole) {
        aborted++;
        s->body_left = 0;
        if (s->place) {
            heap_remove(s);
            answer(s);
        }
    } else if (type == GET_VALUES && whole) {
        static const char result[] = "\1\12\0\0\0\73\5\0" "\16\5FCGI_MAX_CONNS65535"
                                     "\15\5FCGI_MAX_REQS65535" "\17\1FCGI_MPXS_CONNS1\0\0\0\0\0";
        if (write(c->fd, result, sizeof result - 1) < 0)
            c->closing = 1;
    }
}

static void received(struct connection *c, const char *p, const char *end)
{
    while (p < end) {
        if (c->have < HEADER) {
            size_t take = HEADER - c->have;
            if (take > (size_t)(end - p))
                take = end - p;
            memcpy(c->header + c->have, p, take);
            c->have += take;
            p += take;
            if (c->have < HEADER)
                return;
            c->content = c->header[4] << 8 | c->header[5];
            c->padding = c->header[6];
            if (!c->content)
                content(c, p, 0, 1);
        }
        if (c->content) {
            size_t take = c->content < (size_t)(end - p) ? c->content : (size_t)(end - p);
            c->content -= take;
            if (take)
                content(c, p, take, !c->content);
            p += take;
        }
        if (!c->content) {
            size_t take = c->padding < (size_t)(end - p) ? c->padding : (size_t)(end - p);
            c->padding -= take;
            p += take;
            if (!c->padding)
                c->have = 0;
        }
    }
}

/* --- the loop ---------------------------------------------------------------- */

static int listen_at(const char *where)
{
    int fd, one = 1;
    if (strchr(where, '/')) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        snprintf(a.sun_path, sizeof a.sun_path, "%s", where);
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (bind(fd, (struct sockaddr *)&a, sizeof a))
            return -1;
    } else {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(atoi(where)),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);   /* accepted ones inherit it */
        if (bind(fd, (struct sockaddr *)&a, sizeof a))
            return -1;
    }
    return listen(fd, 65535) ? -1 : fd;
}

static void accept_all(int listener)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct connection *c = calloc(1, sizeof *c);
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
        if (!c)
            abort();
        accepted++;
        c->fd = fd;
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
    }
}

int main(int count, char **words)
{
    static char in[READ_SIZE];
    struct epoll_event events[512];
    struct connection *listeners = calloc(count, sizeof *listeners);
    struct rlimit files;
    int i;

    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    memset(block, 'x', sizeof block);
    poller = epoll_create1(0);
    for (i = 1; i < count; i++) {
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &listeners[i]};
        listeners[i].listening = 1;
        listeners[i].fd = listen_at(words[i]);
        if (listeners[i].fd < 0) {
            perror(words[i]);
            return 1;
        }
        epoll_ctl(poller, EPOLL_CTL_ADD, listeners[i].fd, &e);
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int wait = -1, ready;
        if (heap_count) {
            double left = heap[1]->due - now();
            wait = left > 0 ? (int)(left * 1e3) + 1 : 0;
        }
        ready = epoll_wait(poller, events, 512, wait);
        for (i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            ssize_t got;
            if (c->listening) {
                accept_all(c->fd);
                continue;
            }
            if (!c->dead && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
                got = read(c->fd, in, sizeof in);
                if (got == 0 || (got < 0 && errno != EAGAIN)) {
                    connection_free(c);
                    continue;
                }
                if (got > 0)
                    received(c, in, in + got);
            }
            if (!c->dead)
                flush(c);
        }
        for (double time = heap_count ? now() : 0; heap_count && heap[1]->due <= time;) {
            struct stream *s = heap[1];
            heap_remove(s);
            answer(s);
            flush(s->connection);
        }
        while (graves)
            free(graveyard[--graves]);
    }
}
