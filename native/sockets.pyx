"""
What twisted_fcgi/backend/sockets.py is in a compiled build: the same, by system calls.

Strategy: a socket is its descriptor, which only it knows, so that a number is never used
when it is another's.  Python's object is made when somebody asks for it (handle()), owns
the descriptor from then on, and is asked for it each time; what is rare is left to it.
Nothing here blocks, and so the interpreter's lock is kept; what is small is read into one
buffer, and only what came becomes an object.
"""

import os
import socket

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_CheckExact, PyBytes_FromStringAndSize
from cpython.bytes cimport PyBytes_GET_SIZE
from cpython.exc cimport PyErr_SetFromErrno
from cpython.list cimport PyList_GET_ITEM, PyList_GET_SIZE
from cpython.ref cimport Py_DECREF, PyObject
from libc.errno cimport EAGAIN, EINPROGRESS, EINTR, ENAMETOOLONG, ENOBUFS, errno
from libc.string cimport memcpy, memset

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <arpa/inet.h>
    #include <errno.h>
    #include <fcntl.h>
    #include <netinet/in.h>
    #include <netinet/tcp.h>
    #include <poll.h>
    #include <stddef.h>
    #include <sys/ioctl.h>
    #include <sys/socket.h>
    #include <sys/uio.h>
    #include <sys/un.h>
    #include <unistd.h>

    #ifndef MSG_MORE
    #define MSG_MORE 0
    #endif
    #ifndef MSG_NOSIGNAL
    #define MSG_NOSIGNAL 0
    #endif

    union fcgi_name {
        struct sockaddr any;
        struct sockaddr_in ip4;
        struct sockaddr_in6 ip6;
        struct sockaddr_un local;
        struct sockaddr_storage space;
    };

    #ifdef __linux__
    #include <sys/epoll.h>
    #else
    struct epoll_event { unsigned events; union { int fd; } data; };
    #define EPOLL_CLOEXEC 0
    #define EPOLL_CTL_ADD 0
    #define EPOLL_CTL_DEL 0
    #define EPOLL_CTL_MOD 0
    #define epoll_create1(flags) (errno = ENOSYS, -1)
    #define epoll_ctl(number, what, socket, event) (errno = ENOSYS, -1)
    #define epoll_wait(number, events, most, timeout) (errno = ENOSYS, -1)
    #endif

    #ifdef SOCK_NONBLOCK
    static int fcgi_socket(int family) {
        return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    }
    static int fcgi_accept(int number, struct sockaddr *name, socklen_t *length) {
        return accept4(number, name, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    #else
    static int fcgi_own(int number) {
        if (number >= 0) {
            fcntl(number, F_SETFD, FD_CLOEXEC);
            fcntl(number, F_SETFL, O_NONBLOCK);
        }
        return number;
    }
    static int fcgi_socket(int family) {
        return fcgi_own(socket(family, SOCK_STREAM, 0));
    }
    static int fcgi_accept(int number, struct sockaddr *name, socklen_t *length) {
        return fcgi_own(accept(number, name, length));
    }
    #endif
    """
    ctypedef unsigned int socklen_t

    cdef struct sockaddr:
        unsigned short sa_family

    cdef struct in_addr:
        pass

    cdef struct sockaddr_in:
        unsigned short sin_family
        unsigned short sin_port
        in_addr sin_addr

    cdef struct in6_addr:
        pass

    cdef struct sockaddr_in6:
        unsigned short sin6_family
        unsigned short sin6_port
        unsigned int sin6_flowinfo
        in6_addr sin6_addr
        unsigned int sin6_scope_id

    cdef struct sockaddr_un:
        unsigned short sun_family
        char sun_path[100]

    cdef union fcgi_name:
        sockaddr any
        sockaddr_in ip4
        sockaddr_in6 ip6
        sockaddr_un local

    cdef struct iovec:
        void *iov_base
        size_t iov_len

    cdef struct msghdr:
        iovec *msg_iov
        size_t msg_iovlen

    cdef struct pollfd:
        int fd
        short events
        short revents

    cdef struct linger:
        int l_onoff
        int l_linger

    cdef union epoll_data:
        int fd

    cdef struct epoll_event:
        unsigned int events
        epoll_data data

    int EPOLL_CLOEXEC, EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD
    int EWOULDBLOCK, AF_INET, AF_INET6, AF_UNIX, INET6_ADDRSTRLEN
    int MSG_DONTWAIT, MSG_MORE, MSG_NOSIGNAL, POLLIN, TIOCOUTQ
    int IPPROTO_TCP, SOL_SOCKET, SO_LINGER, SO_RCVBUF, TCP_NODELAY

    int fcgi_socket(int family)
    int fcgi_accept(int number, sockaddr *name, socklen_t *length)
    ssize_t recv(int number, void *into, size_t size, int flags)
    ssize_t send(int number, const void *data, size_t size, int flags)
    ssize_t sendmsg(int number, const msghdr *message, int flags)
    int poll(pollfd *sockets, unsigned long number, int timeout)
    int epoll_create1(int flags)
    int epoll_ctl(int number, int what, int other, epoll_event *event)
    int epoll_wait(int number, epoll_event *events, int most, int timeout)
    int ioctl(int number, unsigned long request, ...)
    int connect_ "connect"(int number, const sockaddr *name, socklen_t length)
    int getsockname_ "getsockname"(int number, sockaddr *name, socklen_t *length)
    int getsockopt_ "getsockopt"(int number, int level, int option, void *value, socklen_t *size)
    int setsockopt_ "setsockopt"(int number, int level, int option, const void *value, socklen_t)
    int shutdown_ "shutdown"(int number, int how)
    int close_ "close"(int number)
    const char *inet_ntop(int family, const void *address, char *into, socklen_t size)
    int inet_pton(int family, const char *text, void *address)
    unsigned short htons(unsigned short value)
    unsigned short ntohs(unsigned short value)
    unsigned int htonl(unsigned int value)
    unsigned int ntohl(unsigned int value)

cdef extern from "Python.h":
    PyObject *newBytes "PyBytes_FromStringAndSize"(const char *, Py_ssize_t) except NULL
    int _PyBytes_Resize(PyObject **, Py_ssize_t) except -1

__all__ = ["JOINED", "Epoll", "Socket", "accept", "connect", "socketOf"]

JOINED = 4096

cdef enum:
    _JOINED = 4096
    _BUFFER = 65536
    _PARTS = 64
    _EVENTS = 64

cdef char _buffer[_BUFFER]


@cython.final
@cython.no_gc
@cython.freelist(8)
cdef class Socket:
    """A stream's socket, which does not block."""

    def __cinit__(self):
        self._number = -1

    def __dealloc__(self):
        if self._number >= 0:
            close_(self._number)

    def __repr__(self):
        return f"<Socket {self.fileno()}>"

    cdef int _descriptor(self) except -2:
        if self._number >= 0 or self._handle is None:
            return self._number
        return self._handle.fileno()

    cpdef int fileno(self) except -2:
        return self._descriptor()

    cpdef object handle(self):
        if self._handle is None:
            if self._number < 0:
                made = socket.socket(self.family, socket.SOCK_STREAM)
                made.close()
            else:
                made = socket.socket(self.family, socket.SOCK_STREAM, 0, self._number)
                made.setblocking(False)
            self._number = -1
            self._handle = made
        return self._handle

    cpdef object receive(self, Py_ssize_t size, bint large=False):
        cdef int number = self._descriptor()
        cdef ssize_t got
        cdef PyObject *data
        if size < 0:
            raise ValueError("a negative size")
        if size <= _BUFFER and not large:
            got = _received(number, _buffer, size)
            if got >= 0:
                return PyBytes_FromStringAndSize(_buffer, got)
        else:
            data = newBytes(NULL, size)
            got = _received(number, PyBytes_AS_STRING(<object>data), size)
            if got >= 0 and got != size:
                _PyBytes_Resize(&data, got)
            made = <object>data
            Py_DECREF(made)
            if got >= 0:
                return made
        if errno == EAGAIN or errno == EWOULDBLOCK:
            return None
        PyErr_SetFromErrno(OSError)

    cpdef Py_ssize_t transmit(self, list pieces, Py_ssize_t size, bint more) except -1:
        cdef int number = self._descriptor()
        cdef int flags = MSG_DONTWAIT | MSG_NOSIGNAL
        cdef Py_ssize_t count = PyList_GET_SIZE(pieces), at = 0, place, length
        cdef ssize_t sent
        cdef iovec parts[_PARTS]
        cdef Py_buffer views[_PARTS]
        cdef msghdr message
        cdef int viewed = 0
        if more:
            flags |= MSG_MORE
        if not count:
            return 0  # or what is in the memory of parts would leave
        if count > _PARTS:
            pieces = [b"".join(pieces)]
            count = 1
        try:
            for place in range(count):
                piece = <object>PyList_GET_ITEM(pieces, place)
                if PyBytes_CheckExact(piece):
                    parts[place].iov_base = PyBytes_AS_STRING(piece)
                    parts[place].iov_len = PyBytes_GET_SIZE(piece)
                else:
                    PyObject_GetBuffer(piece, &views[viewed], PyBUF_SIMPLE)
                    parts[place].iov_base = views[viewed].buf
                    parts[place].iov_len = views[viewed].len
                    viewed += 1
            if count > 1 and size <= _JOINED:
                for place in range(count):
                    length = parts[place].iov_len
                    if length > _JOINED - at:
                        raise ValueError("more bytes than was said")
                    memcpy(_buffer + at, parts[place].iov_base, length)
                    at += length
                parts[0].iov_base = _buffer
                parts[0].iov_len = at
                count = 1
            if count > 1:
                memset(&message, 0, sizeof(message))
                message.msg_iov = parts
                message.msg_iovlen = count
            while True:
                if count > 1:
                    sent = sendmsg(number, &message, flags)
                else:
                    sent = send(number, parts[0].iov_base, parts[0].iov_len, flags)
                if sent >= 0:
                    return sent
                if errno == EAGAIN or errno == EWOULDBLOCK or errno == ENOBUFS:
                    return 0
                if errno != EINTR:
                    PyErr_SetFromErrno(OSError)
        finally:
            for place in range(viewed):
                PyBuffer_Release(&views[place])

    cpdef bint unread(self) except -1:
        cdef pollfd one
        cdef int ready
        one.fd = self._descriptor()
        one.events = POLLIN
        one.revents = 0
        while True:
            ready = poll(&one, 1, 0)
            if ready >= 0:
                return ready > 0
            if errno != EINTR:
                PyErr_SetFromErrno(OSError)

    cpdef int unsent(self) except -1:
        cdef int queued = 0
        if ioctl(self._descriptor(), TIOCOUTQ, &queued) < 0:
            PyErr_SetFromErrno(OSError)
        return queued

    cpdef int connect_ex(self, object name) except -1:
        cdef fcgi_name address
        cdef socklen_t length = _addressOf(self.family, name, &address)
        if not length:
            return self.handle().connect_ex(name)
        return 0 if not connect_(self._descriptor(), &address.any, length) else errno

    cpdef object getsockname(self):
        cdef fcgi_name address
        cdef socklen_t length = sizeof(address)
        if getsockname_(self._descriptor(), &address.any, &length) < 0:
            PyErr_SetFromErrno(OSError)
        return _nameOf(&address, length)

    cpdef int getsockopt(self, int level, int option) except? -1:
        cdef int value = 0
        cdef socklen_t size = sizeof(value)
        if getsockopt_(self._descriptor(), level, option, &value, &size) < 0:
            PyErr_SetFromErrno(OSError)
        return value

    cpdef object setsockopt(self, int level, int option, int value):
        if setsockopt_(self._descriptor(), level, option, &value, sizeof(value)) < 0:
            PyErr_SetFromErrno(OSError)

    cpdef object shutdown(self, int how):
        if shutdown_(self._descriptor(), how) < 0:
            PyErr_SetFromErrno(OSError)

    cpdef object close(self):
        cdef int number = self._number
        if number >= 0:
            self._number = -1
            close_(number)
        elif self._handle is not None:
            self._handle.close()

    cpdef object reset(self):
        cdef linger now
        now.l_onoff = 1
        now.l_linger = 0
        setsockopt_(self._descriptor(), SOL_SOCKET, SO_LINGER, &now, sizeof(now))
        self.close()


@cython.final
@cython.no_gc
cdef class Epoll:
    """As select.epoll; what is asked of it is what is there, never to wait."""

    def __cinit__(self):
        self._number = epoll_create1(EPOLL_CLOEXEC)
        if self._number < 0:
            PyErr_SetFromErrno(OSError)

    def __dealloc__(self):
        if self._number >= 0:
            close_(self._number)

    cpdef int fileno(self) except -2:
        return self._number

    cpdef object register(self, int number, unsigned int events):
        self._control(EPOLL_CTL_ADD, number, events)

    cpdef object modify(self, int number, unsigned int events):
        self._control(EPOLL_CTL_MOD, number, events)

    cpdef object unregister(self, int number):
        self._control(EPOLL_CTL_DEL, number, 0)

    cdef int _control(self, int what, int number, unsigned int events) except -1:
        cdef epoll_event event
        event.events = events
        event.data.fd = number
        if epoll_ctl(self._number, what, number, &event) < 0:
            PyErr_SetFromErrno(OSError)
        return 0

    cpdef list poll(self, int timeout, int most):
        cdef epoll_event events[_EVENTS]
        cdef int place
        cdef int count = epoll_wait(self._number, events, min(most, _EVENTS), 0)
        if count < 0 and errno != EINTR:
            PyErr_SetFromErrno(OSError)
        return [(events[place].data.fd, events[place].events) for place in range(count)]


cdef ssize_t _received(int number, char *into, size_t size) noexcept:
    cdef ssize_t got
    while True:
        got = recv(number, into, size, MSG_DONTWAIT)
        if got >= 0 or errno != EINTR:
            return got


cdef Socket _socket(int family, int number):
    """One that has that descriptor."""
    cdef Socket made = Socket.__new__(Socket)
    made.family = family
    made._number = number
    return made


cdef object _nameOf(fcgi_name *address, socklen_t length):
    """A name as Python has it."""
    cdef char text[64]
    cdef Py_ssize_t size = <Py_ssize_t>length - (
        <char *>address.local.sun_path - <char *>address
    )
    if address.any.sa_family == AF_INET:
        inet_ntop(AF_INET, &address.ip4.sin_addr, text, sizeof(text))
        return text.decode("ascii"), ntohs(address.ip4.sin_port)
    if address.any.sa_family == AF_INET6:
        inet_ntop(AF_INET6, &address.ip6.sin6_addr, text, sizeof(text))
        return (
            text.decode("ascii"),
            ntohs(address.ip6.sin6_port),
            ntohl(address.ip6.sin6_flowinfo),
            address.ip6.sin6_scope_id,
        )
    if size <= 0:
        return ""
    if not address.local.sun_path[0]:
        return PyBytes_FromStringAndSize(address.local.sun_path, size)
    while size and not address.local.sun_path[size - 1]:
        size -= 1
    return os.fsdecode(PyBytes_FromStringAndSize(address.local.sun_path, size))


cdef socklen_t _addressOf(int family, object name, fcgi_name *address) except? 0:
    """
    A name as the kernel has it.

    :returns: its length; 0 for what is left to Python.
    """
    cdef bytes path
    memset(address, 0, sizeof(fcgi_name))
    if family == AF_INET and type(name) is tuple and len(name) == 2:
        path = name[0].encode()
        address.ip4.sin_family = AF_INET
        address.ip4.sin_port = htons(name[1])
        if inet_pton(AF_INET, path, &address.ip4.sin_addr) == 1:
            return sizeof(sockaddr_in)
    elif family == AF_INET6 and type(name) is tuple and len(name) == 4:
        path = name[0].encode()
        address.ip6.sin6_family = AF_INET6
        address.ip6.sin6_port = htons(name[1])
        address.ip6.sin6_flowinfo = htonl(name[2])
        address.ip6.sin6_scope_id = name[3]
        if inet_pton(AF_INET6, path, &address.ip6.sin6_addr) == 1:
            return sizeof(sockaddr_in6)
    elif family == AF_UNIX and type(name) is str:
        path = os.fsencode(name)
        if 0 < len(path) < <Py_ssize_t>sizeof(address.local.sun_path) and path[0]:
            if b"\0" not in path:
                address.local.sun_family = AF_UNIX
                memcpy(address.local.sun_path, PyBytes_AS_STRING(path), len(path))
                return sizeof(sockaddr_un)
    return 0


def accept(listening, int family):
    cdef fcgi_name address
    cdef socklen_t length = sizeof(address)
    cdef int number
    while True:
        number = fcgi_accept(listening.fileno(), &address.any, &length)
        if number >= 0:
            return _socket(family, number), _nameOf(&address, length)
        if errno == EAGAIN or errno == EWOULDBLOCK:
            return None
        if errno != EINTR:
            PyErr_SetFromErrno(OSError)


def connect(int family, name, int receiveBuffer=0):
    cdef int number = fcgi_socket(family)
    cdef int code
    cdef Socket made
    if number < 0:
        return None, errno
    made = _socket(family, number)
    if family != AF_UNIX:
        made.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
    if receiveBuffer:
        made.setsockopt(SOL_SOCKET, SO_RCVBUF, receiveBuffer)
    try:
        code = made.connect_ex(name)
        if code == EINPROGRESS:
            code = made.connect_ex(name)
    except OSError as error:
        code = error.errno or ENAMETOOLONG
    return made, code


def socketOf(skt):
    if isinstance(skt, Socket):
        return skt
    skt.setblocking(False)
    return _socket(skt.family, skt.detach())
