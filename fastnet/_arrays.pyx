# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""Properties of an array that each step reads, without the microseconds of numpy's attributes and reductions."""

from cpython.buffer cimport PyBUF_FORMAT, PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

ctypedef fused word:
    uint8_t
    uint16_t
    uint32_t
    uint64_t


def rows_of(array):
    """The rows of an array: ``(address, bytes from row to row, whether a row's elements lie back to back)``."""
    cdef Py_buffer view
    cdef Py_ssize_t expected
    cdef bint together = True
    cdef int axis
    PyObject_GetBuffer(array, &view, PyBUF_STRIDES)
    expected = view.itemsize
    for axis in range(view.ndim - 1, 0, -1):
        if view.shape[axis] > 1 and view.strides[axis] != expected:
            together = False
        expected *= view.shape[axis]
    answer = <int64_t> <size_t> view.buf, view.strides[0], together or expected == 0 or view.shape[0] == 0
    PyBuffer_Release(&view)
    return answer


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
