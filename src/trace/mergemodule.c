/* The module mmpi._merge: reading and writing of traces. No MPI. Functions return NULL with an exception set, or a new reference. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdlib.h>
#include <string.h>
#include "merge.h"
#include "replay.h"

static int to_coding(const char *name, enum Coding *coding)
{
    static const char *const names[] = {[DELTA] = "delta", [PLAIN] = "plain", [ZIGZAG] = "zigzag"};
    for (int i = DELTA; i <= ZIGZAG; i++)
        if (!strcmp(name, names[i])) { *coding = (enum Coding)i; return 0; }
    PyErr_Format(PyExc_ValueError, "coding %s is unknown: it is delta, plain or zigzag", name);
    return -1;
}

static PyObject *encode(PyObject *module, PyObject *args)
{
    Py_buffer values;
    const char *name;
    enum Coding coding;
    PyObject *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*s:encode", &values, &name)) return NULL;
    size_t n = (size_t)values.len / 8;
    uint8_t *bytes = malloc(n * VARINT + 1);
    if (!bytes) PyErr_NoMemory();
    else if (values.len % 8) PyErr_Format(PyExc_ValueError, "encode: %zd bytes are no 64-bit integers", values.len);
    else if (!to_coding(name, &coding)) {
        size_t length;
        Py_BEGIN_ALLOW_THREADS
        length = encode_column(values.buf, n, coding, bytes);
        Py_END_ALLOW_THREADS
        result = PyBytes_FromStringAndSize((char *)bytes, (Py_ssize_t)length);
    }
    free(bytes);
    PyBuffer_Release(&values);
    return result;
}

static PyObject *decode(PyObject *module, PyObject *args)
{
    Py_buffer bytes;
    Py_ssize_t n;
    const char *name, *wrong = NULL;
    enum Coding coding;
    PyObject *result = NULL;
    (void)module;
    if (!PyArg_ParseTuple(args, "y*ns:decode", &bytes, &n, &name)) return NULL;
    if (to_coding(name, &coding)) goto end;
    if (n < 0 || n > bytes.len) { PyErr_Format(PyExc_ValueError, "decode: %zd bytes cannot hold %zd values", bytes.len, n); goto end; }
    result = PyByteArray_FromStringAndSize(NULL, n * 8);
    if (!result) goto end;
    int64_t *values = (int64_t *)PyByteArray_AsString(result);
    Py_BEGIN_ALLOW_THREADS
    wrong = decode_column(bytes.buf, (size_t)bytes.len, (size_t)n, coding, values);
    Py_END_ALLOW_THREADS
    if (wrong) {
        Py_CLEAR(result);
        PyErr_Format(PyExc_ValueError, "decode: %s", wrong);
    }
end:
    PyBuffer_Release(&bytes);
    return result;
}

/* --- merging ---------------------------------------------------------------------------------------------- */

#define MERGE "mmpi._merge.Merge"
typedef struct { Merge m; Py_buffer *views; size_t nviews; } Job;

static void free_job(PyObject *capsule)
{
    Job *job = PyCapsule_GetPointer(capsule, MERGE);
    for (size_t i = 0; job->m.streams && i < job->m.nstreams; i++) free_stream(&job->m.streams[i]);
    for (size_t i = 0; i < job->nviews; i++) PyBuffer_Release(&job->views[i]);
    free(job->m.streams);
    free(job->m.flags);
    free(job->m.clocks);
    free(job->m.messages.at);
    free(job->m.unmatched.at);
    free(job->m.together.at);
    free(job->m.bounds.at);
    free(job->m.instances.at);
    free(job->views);
    free(job);
}

static Job *job_of(PyObject *capsule) { return PyCapsule_GetPointer(capsule, MERGE); }

/* An array of items of this size, kept until the job goes away. */
static const void *view(Job *job, PyObject *object, size_t size, size_t *n)
{
    Py_buffer *v = &job->views[job->nviews];
    if (PyObject_GetBuffer(object, v, PyBUF_SIMPLE)) return NULL;
    job->nviews++;
    *n = (size_t)v->len / size;
    if ((uintptr_t)v->buf % 8 == 0) return v->buf;
    PyErr_SetString(PyExc_ValueError, "a buffer is not aligned");
    return NULL;
}

enum { VIEWS = 6 };                     /* of a stream */

static int add_stream(Job *job, PyObject *item, int32_t i)
{
    PyObject *of[VIEWS];
    Stream *s = &job->m.streams[i];
    if (!PyArg_ParseTuple(item, "OOOOOOiiii", &of[0], &of[1], &of[2], &of[3], &of[4], &of[5], &s->process, &s->thread, &s->host, &s->unknown)) return -1;
    s->index = s->next = i;
    if (!(s->data = view(job, of[0], 1, &s->size)) || !(s->knots = view(job, of[1], sizeof *s->knots, &s->nknots)) ||
        !(s->operations = view(job, of[2], sizeof *s->operations, &s->noperations)) || !(s->sites = view(job, of[3], sizeof *s->sites, &s->nsites)) ||
        !(s->comms = view(job, of[4], sizeof *s->comms, &s->ncomms)) || !(s->strings = view(job, of[5], sizeof *s->strings, &s->nstrings))) return -1;
    if (s->size >= STREAM_HEAD && s->nknots && s->process >= 0 && (size_t)s->process < job->m.nprocesses && s->host >= 0 && (size_t)s->host < job->m.nhosts) return 0;
    PyErr_SetString(PyExc_ValueError, "a stream without a head, a clock, a process or a host");
    return -1;
}

/* merge(streams, comms, members, flags, nhosts): each stream is (file, knots, operations, sites, comms, strings, process, thread, host, unknown) */
static PyObject *new_merge(PyObject *module, PyObject *args)
{
    PyObject *streams, *comms, *members, *flags;
    Py_ssize_t nhosts;
    (void)module;
    if (!PyArg_ParseTuple(args, "O!OOOn:merge", &PyList_Type, &streams, &comms, &members, &flags, &nhosts)) return NULL;
    size_t n = (size_t)PyList_Size(streams), nflags = 0;
    Job *job = calloc(1, sizeof *job);
    PyObject *capsule = job ? PyCapsule_New(job, MERGE, free_job) : NULL;
    if (!capsule) { free(job); return PyErr_Occurred() ? NULL : PyErr_NoMemory(); }
    job->views = calloc(n * VIEWS + 3, sizeof *job->views);
    job->m.streams = calloc(n + 1, sizeof *job->m.streams);
    job->m.clocks = calloc((size_t)nhosts + 1, sizeof *job->m.clocks);
    job->m.nstreams = n;
    job->m.nhosts = (size_t)nhosts;
    if (!job->views || !job->m.streams || !job->m.clocks) { Py_DECREF(capsule); return PyErr_NoMemory(); }
    const int32_t *given = view(job, flags, sizeof *given, &nflags);
    job->m.comms = view(job, comms, sizeof *job->m.comms, &job->m.ncomms);
    job->m.members = view(job, members, sizeof *job->m.members, &job->m.nmembers);
    job->m.nprocesses = nflags ? nflags - 1 : 0;
    job->m.flags = malloc((nflags + 1) * sizeof *job->m.flags);
    if (given && job->m.flags) memcpy(job->m.flags, given, nflags * sizeof *given);
    int bad = !given || !nflags || !job->m.comms || !job->m.members || !job->m.flags;
    for (size_t i = 0; i < n && !bad; i++) bad = add_stream(job, PyList_GetItem(streams, (Py_ssize_t)i), (int32_t)i);
    if (bad) Py_CLEAR(capsule);
    return capsule;
}

static PyObject *scan_stream(PyObject *module, PyObject *args)
{
    PyObject *capsule;
    Py_ssize_t i;
    int bad;
    (void)module;
    if (!PyArg_ParseTuple(args, "On:scan", &capsule, &i)) return NULL;
    Job *job = job_of(capsule);
    if (!job) return NULL;
    if (i < 0 || (size_t)i >= job->m.nstreams || job->m.streams[i].is_call) return PyErr_Format(PyExc_ValueError, "scan: stream %zd is not to be scanned", i);
    Stream *s = &job->m.streams[i];
    Py_BEGIN_ALLOW_THREADS
    bad = scan(s);
    Py_END_ALLOW_THREADS
    if (bad) return PyErr_NoMemory();
    return Py_BuildValue("KLLKKKi", (unsigned long long)s->ncalls, (long long)s->first, (long long)s->last, (unsigned long long)s->torn,
                         (unsigned long long)s->damaged, (unsigned long long)s->lost, (int)(s->members.n > 0));
}

static PyObject *bounds_of(const Merge *m)
{
    PyObject *list = PyList_New(0);
    for (size_t i = 0; i < m->bounds.n && list; i++) {
        const Bound *b = &m->bounds.at[i];
        PyObject *item = Py_BuildValue("IILL", b->from, b->to, (long long)b->sent, (long long)b->received);
        if (!item || PyList_Append(list, item)) Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

/* match(merge, flags): what is known of processes after the scan */
static PyObject *match_all(PyObject *module, PyObject *args)
{
    PyObject *capsule;
    Py_buffer flags;
    int bad;
    (void)module;
    if (!PyArg_ParseTuple(args, "Oy*:match", &capsule, &flags)) return NULL;
    Job *job = job_of(capsule);
    if (job && (size_t)flags.len == (job->m.nprocesses + 1) * sizeof *job->m.flags) memcpy(job->m.flags, flags.buf, (size_t)flags.len);
    else if (job) PyErr_SetString(PyExc_ValueError, "match: flags are not those of the processes");
    PyBuffer_Release(&flags);
    if (PyErr_Occurred()) return NULL;
    Py_BEGIN_ALLOW_THREADS
    bad = link_requests(&job->m) || pair_messages(&job->m) || gather_collectives(&job->m);
    Py_END_ALLOW_THREADS
    return bad ? PyErr_NoMemory() : bounds_of(&job->m);
}

/* a list of (at, offset, drift), one a host */
static int take_clocks(Job *job, PyObject *clocks)
{
    if ((size_t)PyList_Size(clocks) != job->m.nhosts) {
        PyErr_Format(PyExc_ValueError, "%zd clocks for %zu hosts", PyList_Size(clocks), job->m.nhosts);
        return -1;
    }
    for (size_t i = 0; i < job->m.nhosts; i++) {
        long long at, offset;
        if (!PyArg_ParseTuple(PyList_GetItem(clocks, (Py_ssize_t)i), "LLd", &at, &offset, &job->m.clocks[i].drift)) return -1;
        job->m.clocks[i].at = at;
        job->m.clocks[i].offset = offset;
    }
    return 0;
}

static PyObject *early(PyObject *module, PyObject *args)
{
    PyObject *capsule, *clocks;
    int bad;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO!:early", &capsule, &PyList_Type, &clocks)) return NULL;
    Job *job = job_of(capsule);
    if (!job || take_clocks(job, clocks)) return NULL;
    Py_BEGIN_ALLOW_THREADS
    bad = find_bounds(&job->m, -1);
    Py_END_ALLOW_THREADS
    return bad ? PyErr_NoMemory() : bounds_of(&job->m);
}

static PyObject *settle_all(PyObject *module, PyObject *args)
{
    PyObject *capsule, *clocks;
    long long began;
    int bad;
    (void)module;
    if (!PyArg_ParseTuple(args, "OO!L:settle", &capsule, &PyList_Type, &clocks, &began)) return NULL;
    Job *job = job_of(capsule);
    if (!job || take_clocks(job, clocks)) return NULL;
    job->m.began = began;
    Py_BEGIN_ALLOW_THREADS
    bad = settle(&job->m);
    Py_END_ALLOW_THREADS
    return bad ? PyErr_NoMemory() : PyLong_FromUnsignedLongLong(job->m.violations);
}

typedef struct { PyObject *take; PyThreadState *thread; } Taker;

static PyObject *columns_of(const Block *block)
{
    PyObject *columns = PyList_New(0);
    for (size_t i = 0; i < block->ncolumns && columns; i++) {
        PyObject *bytes = PyBytes_FromStringAndSize((const char *)block->bytes[i], (Py_ssize_t)block->lengths[i]);
        if (!bytes || PyList_Append(columns, bytes)) Py_CLEAR(columns);
        Py_XDECREF(bytes);
    }
    return columns;
}

static int give(void *to, const Block *block)
{
    Taker *taker = to;
    PyEval_RestoreThread(taker->thread);
    PyObject *columns = columns_of(block);
    PyObject *result = columns ? PyObject_CallFunction(taker->take, "NnLL", columns, (Py_ssize_t)block->n, (long long)block->start, (long long)block->end) : NULL;
    Py_XDECREF(result);
    taker->thread = PyEval_SaveThread();
    return result ? 0 : -1;
}

/* calls(merge, row, take), table(merge, name, take): take(columns, n, start, end) gets each block */
static PyObject *give_blocks(PyObject *args, int calls)
{
    PyObject *capsule, *which;
    Taker taker = {NULL, NULL};
    if (!PyArg_ParseTuple(args, "OOO", &capsule, &which, &taker.take)) return NULL;
    Job *job = job_of(capsule);
    Py_ssize_t row = job && calls ? PyLong_AsSsize_t(which) : 0;
    PyObject *name = job && !calls ? PyUnicode_AsASCIIString(which) : NULL;
    if (PyErr_Occurred()) return NULL;
    if (calls && (row < 0 || (size_t)row >= job->m.nstreams)) return PyErr_Format(PyExc_ValueError, "calls: there is no row %zd", row);
    taker.thread = PyEval_SaveThread();
    int rc = calls ? write_calls(&job->m, (size_t)row, give, &taker) : write_table(&job->m, PyBytes_AsString(name), give, &taker);
    PyEval_RestoreThread(taker.thread);
    Py_XDECREF(name);
    if (rc > 0) return PyErr_Format(PyExc_ValueError, "table: there is no table %U", which);
    if (rc < 0) return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    Py_RETURN_NONE;
}

static PyObject *calls(PyObject *module, PyObject *args) { (void)module; return give_blocks(args, 1); }
static PyObject *table(PyObject *module, PyObject *args) { (void)module; return give_blocks(args, 0); }

static PyMethodDef methods[] = {
    {"merge", new_merge, METH_VARARGS, "merge(streams, comms, members, flags, nhosts, /)\n--\n\nBegin to merge; mmpi/trace/merge.py makes the arguments."},
    {"scan", scan_stream, METH_VARARGS, "scan(merge, stream, /)\n--\n\nRead a stream; return (calls, first, last, torn, damaged, lost, any collectives)."},
    {"match", match_all, METH_VARARGS, "match(merge, flags, /)\n--\n\nFind what belongs together; return (from, to, sent, received) of messages that bound the clocks of hosts."},
    {"early", early, METH_VARARGS, "early(merge, clocks, /)\n--\n\nBy these clocks, (at, offset, drift) a host: the messages, as match gives them, that arrive before they were sent."},
    {"settle", settle_all, METH_VARARGS, "settle(merge, clocks, began, /)\n--\n\nTake these clocks, (at, offset, drift) a host; return how many messages arrive before they were sent."},
    {"calls", calls, METH_VARARGS, "calls(merge, row, take, /)\n--\n\nGive the calls of a row, block by block, to take(columns, n, start, end)."},
    {"table", table, METH_VARARGS, "table(merge, name, take, /)\n--\n\nGive a table, block by block, to take(columns, n, start, end)."},
    {"encode", encode, METH_VARARGS, "encode(values, coding, /)\n--\n\nThe bytes of a column: values is a buffer of 64-bit integers, coding delta, plain or zigzag."},
    {"decode", decode, METH_VARARGS, "decode(data, n, coding, /)\n--\n\nThe n 64-bit integers of a column, as a bytearray. ValueError if data does not hold exactly those."},
    {"replay", replay, METH_VARARGS, REPLAY_DOC},
    {NULL, NULL, 0, NULL}};
static PyModuleDef_Slot slots[] = {{0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "mmpi._merge", "Read and write traces.", 0, methods, slots, NULL, NULL, NULL};
PyMODINIT_FUNC PyInit__merge(void) { return PyModuleDef_Init(&definition); }
