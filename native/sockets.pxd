cdef class Socket:
    cdef readonly int family
    cdef int _number
    cdef object _handle

    cdef int _descriptor(self) except -2
    cpdef int fileno(self) except -2
    cpdef object handle(self)
    cpdef object receive(self, Py_ssize_t size, bint large=*)
    cpdef Py_ssize_t transmit(self, list pieces, Py_ssize_t size, bint more) except -1
    cpdef bint unread(self) except -1
    cpdef int unsent(self) except -1
    cpdef int connect_ex(self, object name) except -1
    cpdef object getsockname(self)
    cpdef int getsockopt(self, int level, int option) except? -1
    cpdef object setsockopt(self, int level, int option, int value)
    cpdef object shutdown(self, int how)
    cpdef object close(self)
    cpdef object reset(self)


cdef class Epoll:
    cdef int _number

    cpdef int fileno(self) except -2
    cpdef object register(self, int number, unsigned int events)
    cpdef object modify(self, int number, unsigned int events)
    cpdef object unregister(self, int number)
    cdef int _control(self, int what, int number, unsigned int events) except -1
    cpdef list poll(self, int timeout, int most)
