# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Properties of an array that each step reads, without the microseconds of numpy's attributes and reductions; and the
places of buffers, which a plan of thousands of launches compares with each other."""

import numpy as np

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_IsContiguous, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

ctypedef fused word:
    uint8_t
    uint16_t
    uint32_t
    uint64_t


cdef object ndarray = np.ndarray


cdef class Rows:
    """Where the rows of an array of any strides lie, or those of `sparse.SparseRows`; see `engine.sources.Source`."""

    cdef:
        public object array, layout
        public int64_t rows, per, address, stride
        readonly bint together  # whether a row's elements lie back to back

    def __init__(self, array):
        cdef Py_buffer view
        cdef Py_ssize_t expected
        cdef int axis
        self.array = array
        if not isinstance(array, ndarray):
            self.rows, self.layout = len(array), array.starts
            self.address, self.stride = address_of(array.values), address_of(array.columns)
            return
        PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
        self.address, self.stride, self.rows = <int64_t> <size_t> view.buf, view.strides[0], view.shape[0]
        self.together = True
        expected = view.itemsize
        for axis in range(view.ndim - 1, 0, -1):
            if view.shape[axis] > 1 and view.strides[axis] != expected:
                self.together = False
            expected *= view.shape[axis]
        self.together = self.together or expected == 0 or view.shape[0] == 0
        PyBuffer_Release(&view)
        if not self.together:
            self.layout = np.array([array.ndim - 1, *array.shape[1:], *array.strides[1:]], np.int64)

    def connect(self, int64_t slots):
        """Let a gather read these rows, whose four slots of a step block lie at this address."""
        cdef int64_t* words = <int64_t*> <size_t> slots
        words[0], words[1], words[3] = self.address, self.stride, self.per
        if self.layout is not None:
            words[2] = address_of(self.layout)


cpdef int64_t address_of(array) except? -1:
    """The address of an array's first element."""
    cdef Py_buffer view
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    PyBuffer_Release(&view)
    return <int64_t> <size_t> view.buf


def kind_of(tuple arrays):
    """Shapes and dtypes as bytes; None unless each is an array whose rows lie back to back, of a dtype with one letter."""
    cdef Py_buffer view
    cdef Py_ssize_t words[32]
    cdef int axis, count = 0
    cdef bint is_plain
    for array in arrays:
        if type(array) is not ndarray:
            return None
        try:
            PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_FORMAT)
        except ValueError:  # dates
            return None
        is_plain = (view.format[1] == 0 and 0 < view.ndim < 32 - count and PyBuffer_IsContiguous(&view, b"C"))
        if is_plain:
            words[count] = view.format[0] << 8 | view.ndim
            for axis in range(view.ndim):
                words[count + 1 + axis] = view.shape[axis]
            count += 1 + view.ndim
        PyBuffer_Release(&view)
        if not is_plain:
            return None
    return PyBytes_FromStringAndSize(<char*> words, count * sizeof(Py_ssize_t))


cdef bint _below(word* first, Py_ssize_t stride, Py_ssize_t count, uint64_t limit) noexcept nogil:
    cdef Py_ssize_t i
    cdef bint below = True
    for i in range(count):
        below &= (<word*> (<char*> first + i * stride))[0] < limit
    return below


def all_below(array, uint64_t limit):
    """Whether every element of a one-dimensional array of integers is at least 0 and below ``limit``.

    Seen as unsigned a negative number is a huge one.
    """
    cdef Py_buffer view
    cdef bint below
    cdef uint64_t most
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES | PyBUF_FORMAT)
    most = <uint64_t> 1 << (8 * view.itemsize - 1)  # of a signed type
    if view.format[0] in b"bhilq" and limit > most:
        limit = most
    with nogil:
        if view.itemsize == 1:
            below = _below(<uint8_t*> view.buf, view.strides[0], view.shape[0], limit)
        elif view.itemsize == 2:
            below = _below(<uint16_t*> view.buf, view.strides[0], view.shape[0], limit)
        elif view.itemsize == 4:
            below = _below(<uint32_t*> view.buf, view.strides[0], view.shape[0], limit)
        else:
            below = _below(<uint64_t*> view.buf, view.strides[0], view.shape[0], limit)
    PyBuffer_Release(&view)
    return below


def places(int64_t[::1] sizes, int64_t[::1] firsts, int64_t[::1] lasts):
    """Offsets of intervals: each in turn at the lowest one where it meets none that is alive at the same time.

    Args:
        sizes: of the intervals.
        firsts, lasts: the time in which each is alive, both included.
    """
    cdef Py_ssize_t count = sizes.shape[0], n, k
    offsets = np.empty(count, np.int64)
    cdef int64_t[::1] offset = offsets
    cdef int64_t[::1] order = np.empty(count, np.int64)  # those that have a place, by their offsets
    cdef int64_t low, other
    for n in range(count):
        low = 0
        for k in range(n):
            other = order[k]
            if offset[other] >= low + sizes[n]:
                break
            if offset[other] + sizes[other] > low and firsts[n] <= lasts[other] and firsts[other] <= lasts[n]:
                low = offset[other] + sizes[other]
        offset[n] = low
        k = n
        while k > 0 and offset[order[k - 1]] > low:
            order[k] = order[k - 1]
            k -= 1
        order[k] = n
    return offsets
