/* MPI.buffer: bytes in one piece, as an object. What MPI allocated, what a window shows, or what another object lends. */
#include "core.h"

/* The view is lent by a memoryview, which counts who uses the memory: parts of the piece, and whoever exports it. */
typedef struct { PyObject_HEAD Py_buffer view; PyObject *weakrefs, *keeper; int far; } buffer;
/* keeper: (object, capsule) of one that speaks DLPack or CUDA's protocol; far: its memory is on a device */

static PyTypeObject *PieceType;

/* steals the memoryview */
static PyObject *new_piece(PyObject *memory)
{
    buffer *self = memory ? (buffer *)PyType_GenericAlloc(PieceType, 0) : NULL;
    if (self && PyObject_GetBuffer(memory, &self->view, PyBUF_ANY_CONTIGUOUS)) Py_CLEAR(self);
    Py_XDECREF(memory);
    return (PyObject *)self;
}

PyObject *memory_of(void *addr, Py_ssize_t bytes, int writable)
{
    buffer *self = (buffer *)new_piece(PyMemoryView_FromMemory(addr ? addr : "", addr ? bytes : 0, writable ? PyBUF_WRITE : PyBUF_READ));
    if (self) self->view.buf = addr;
    return (PyObject *)self;
}

static void drop_frame(PyObject *capsule) { free_frame(PyCapsule_GetPointer(capsule, NULL)); }

/* of an object that has no buffer in Python's sense, but one of a device or of DLPack's */
static PyObject *foreign(PyObject *object)
{
    static const Signature signature = {"buffer", "obj", NULL, 0, 0, 0, 0};
    void *addr; Py_ssize_t bytes; int on_host;
    Frame *frame = new_frame();
    if (!frame) return NULL;
    open_frame(frame, &signature);
    PyObject *capsule = locate(frame, object, &addr, &bytes, &on_host) ? NULL : PyCapsule_New(frame, NULL, drop_frame);
    if (!capsule) { free_frame(frame); return NULL; }
    buffer *self = (buffer *)memory_of(addr, bytes, 1);
    PyObject *keeper = self ? Py_BuildValue("ON", object, capsule) : NULL;
    if (!keeper) { Py_XDECREF((PyObject *)self); return NULL; }
    self->keeper = keeper;
    self->far = !on_host;
    return (PyObject *)self;
}

static PyObject *seen(PyObject *object) { return PyObject_CheckBuffer(object) ? new_piece(PyMemoryView_FromObject(object)) : foreign(object); }

/* what the host may not read or write */
static int refuses(const buffer *self)
{
    if (self->far) PyErr_SetString(PyExc_BufferError, "the memory is on a device: only its address is known here");
    return self->far;
}

static void let_go(buffer *self)
{
    PyBuffer_Release(&self->view);
    self->view = (Py_buffer){.readonly = 0};
}

/* Nobody can use the memory any more through objects of ours; BufferError if somebody still does. */
int end_memory(PyObject *object)
{
    buffer *self = (buffer *)object;
    Py_buffer old = self->view;
    PyObject *memory = Py_XNewRef(self->view.obj), *done = Py_None;
    let_go(self);
    if (memory && !(done = PyObject_CallMethod(memory, "release", NULL)) && !PyObject_GetBuffer(memory, &self->view, PyBUF_ANY_CONTIGUOUS)) self->view.buf = old.buf;
    Py_XDECREF(memory);
    return done ? 0 : -1;
}

int is_memory(PyObject *object) { return Py_TYPE(object) == PieceType; }

static int piece_buffer(PyObject *object, Py_buffer *view, int flags)
{
    const buffer *self = (buffer *)object;
    Py_buffer lent = {.obj = NULL};
    view->obj = NULL;
    if (refuses(self)) return -1;
    if (self->keeper) return PyBuffer_FillInfo(view, object, self->view.buf, self->view.len, self->view.readonly, flags);
    if (PyBuffer_FillInfo(view, NULL, self->view.buf, self->view.len, self->view.readonly, flags)) return -1;
    if (self->view.obj && PyObject_GetBuffer(self->view.obj, &lent, PyBUF_ANY_CONTIGUOUS)) return -1;
    view->obj = self->view.obj ? lent.obj : Py_NewRef(object);
    return 0;
}

/* It is the memoryview that lends and takes back; but NumPy holds on to a view only of those that want it back. */
static void take_back(PyObject *self, Py_buffer *view) { (void)self; (void)view; }

static PyObject *part(const buffer *self, Py_ssize_t start, Py_ssize_t bytes)
{
    buffer *new = self->view.obj ? (buffer *)new_piece(Py_NewRef(self->view.obj)) : (buffer *)memory_of(NULL, 0, 1);
    if (!new) return NULL;
    new->view.buf = (char *)self->view.buf + start;
    new->view.len = bytes;
    new->view.readonly = self->view.readonly;
    new->keeper = Py_XNewRef(self->keeper);
    new->far = self->far;
    return (PyObject *)new;
}

/* --- making them ------------------------------------------------------------------------------------------ */

static PyObject *piece_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    PyObject *object = NULL;
    static char *names[] = {"", NULL};
    (void)type;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", names, &object)) return NULL;
    return object ? seen(object) : memory_of(NULL, 0, 1);
}

static int is_negative(const Frame *frame, const char *argument, MPI_Count bytes)
{
    if (bytes >= 0) return 0;
    PyErr_Format(PyExc_ValueError, "negative number of bytes %lld", (long long)bytes);
    return blame(frame, argument);
}

CLASSMETHOD(buffer, allocate, "nbytes, clear=False", "New memory of so many bytes, which are zero if asked for.")
{
    Frame frame; MPI_Count bytes; int clear = 0;
    (void)self;
    if (PARSE(&frame, to_count, &bytes, to_flag, &clear) || is_negative(&frame, "nbytes", bytes)) return finish(&frame, RAISED);
    PyObject *array = PyByteArray_FromStringAndSize(NULL, (Py_ssize_t)bytes);
    if (array && clear) memset(PyByteArray_AsString(array), 0, (size_t)bytes);
    PyObject *made = array ? new_piece(PyMemoryView_FromObject(array)) : NULL;
    Py_XDECREF(array);
    return finish_with(&frame, made ? 0 : RAISED, made);
}

CLASSMETHOD(buffer, frombuffer, "obj, readonly=False", "The memory of another object, which must be in one piece, and writable unless readonly.")
{
    Frame frame; PyObject *object; int readonly = 0;
    (void)self;
    if (PARSE(&frame, to_object, &object, to_flag, &readonly)) return finish(&frame, RAISED);
    buffer *made = (buffer *)seen(object);
    if (made && made->view.readonly && !readonly) { PyErr_SetString(PyExc_BufferError, "frombuffer(obj, readonly=False): obj: it is read-only"); Py_CLEAR(made); }
    if (made) made->view.readonly |= readonly;
    return finish_with(&frame, made ? 0 : RAISED, (PyObject *)made);
}

CLASSMETHOD(buffer, fromaddress, "address, nbytes, readonly=False", "The memory at an address, whoever answers for it.")
{
    Frame frame; MPI_Aint address; MPI_Count bytes; int readonly = 0;
    (void)self;
    if (PARSE(&frame, to_aint, &address, to_count, &bytes, to_flag, &readonly) || is_negative(&frame, "nbytes", bytes)) return finish(&frame, RAISED);
    if (address || !bytes) return finish_with(&frame, 0, memory_of((void *)address, (Py_ssize_t)bytes, !readonly));
    PyErr_SetString(PyExc_ValueError, "nothing but no bytes lies at address 0");
    return finish(&frame, blame(&frame, "address"));
}

/* --- using them ------------------------------------------------------------------------------------------- */

METHOD(buffer, cast, "format, shape=None", "A memoryview of the same memory, of another format or shape.")
{
    Frame frame; PyObject *format, *shape = Py_None;
    if (PARSE(&frame, to_object, &format, to_object, &shape)) return finish(&frame, RAISED);
    PyObject *bytes = PyMemoryView_FromObject((PyObject *)self), *view = !bytes ? NULL
        : shape == Py_None ? PyObject_CallMethod(bytes, "cast", "O", format) : PyObject_CallMethod(bytes, "cast", "OO", format, shape);
    Py_XDECREF(bytes);
    return finish_with(&frame, view ? 0 : RAISED, view);
}

METHOD(buffer, tobytes, "order=None", "A copy of the bytes; of the order nothing depends, since there is one dimension.")
{
    Frame frame; PyObject *order;
    int rc = PARSE(&frame, to_object, &order) || refuses(self) ? RAISED : 0;
    return finish_with(&frame, rc, rc ? NULL : PyBytes_FromStringAndSize(self->view.buf, self->view.len));
}

METHOD0(buffer, toreadonly, "The same memory, read-only.")
{
    PyObject *same = part(self, 0, self->view.len);
    if (same) ((buffer *)same)->view.readonly = 1;
    return same;
}

METHOD0(buffer, release, "Let go of the memory: the buffer is empty from now on.")
{
    let_go(self);
    Py_RETURN_NONE;
}

static Py_ssize_t piece_length(PyObject *self) { return ((buffer *)self)->view.len; }

/* what an index or a slice means; *single: an index */
static int find_part(const buffer *self, PyObject *item, Py_ssize_t *start, Py_ssize_t *bytes, int *single)
{
    Py_ssize_t stop, step = 1;
    *single = PyIndex_Check(item);
    if (!*single && !PySlice_Check(item)) { PyErr_Format(PyExc_TypeError, "indices of a buffer are integers or slices, not %R", item); return -1; }
    if (*single) {
        *start = PyNumber_AsSsize_t(item, PyExc_IndexError);
        if (*start == -1 && PyErr_Occurred()) return -1;
        if (*start < 0) *start += self->view.len;
        *bytes = 1;
        if (*start >= 0 && *start < self->view.len) return 0;
    } else {
        if (PySlice_Unpack(item, start, &stop, &step)) return -1;
        *bytes = PySlice_AdjustIndices(self->view.len, start, &stop, step);
        if (step == 1) return 0;
    }
    PyErr_SetString(PyExc_IndexError, *single ? "the index is out of range" : "a slice of a buffer has no step");
    return -1;
}

static PyObject *piece_item(PyObject *object, PyObject *item)
{
    const buffer *self = (buffer *)object;
    Py_ssize_t start, bytes; int single;
    if (find_part(self, item, &start, &bytes, &single) || (single && refuses(self))) return NULL;
    return single ? PyLong_FromLong(((unsigned char *)self->view.buf)[start]) : part(self, start, bytes);
}

/* for those that go through a sequence */
static PyObject *piece_at(PyObject *object, Py_ssize_t i)
{
    const buffer *self = (buffer *)object;
    if (refuses(self)) return NULL;
    if (i >= 0 && i < self->view.len) return PyLong_FromLong(((unsigned char *)self->view.buf)[i]);
    PyErr_SetString(PyExc_IndexError, "the index is out of range");
    return NULL;
}

static int fill(char *at, Py_ssize_t bytes, PyObject *value)
{
    Py_ssize_t byte = PyNumber_AsSsize_t(value, PyExc_OverflowError);
    if (byte == -1 && PyErr_Occurred()) return -1;
    if (byte < 0 || byte > 255) { PyErr_Format(PyExc_ValueError, "%zd is no byte", byte); return -1; }
    if (bytes) memset(at, (int)byte, (size_t)bytes);
    return 0;
}

static int copy_in(char *at, Py_ssize_t bytes, PyObject *value)
{
    Py_buffer from;
    if (PyObject_GetBuffer(value, &from, PyBUF_SIMPLE)) return -1;
    int fits = from.len == bytes;
    if (fits && bytes) memmove(at, from.buf, (size_t)bytes);
    else if (!fits) PyErr_Format(PyExc_ValueError, "%zd bytes for a slice of %zd", from.len, bytes);
    PyBuffer_Release(&from);
    return fits ? 0 : -1;
}

static int piece_set(PyObject *object, PyObject *item, PyObject *value)
{
    const buffer *self = (buffer *)object;
    Py_ssize_t start, bytes; int single;
    if (!value) { PyErr_SetString(PyExc_NotImplementedError, "bytes of a buffer cannot be deleted"); return -1; }
    if (self->view.readonly) { PyErr_SetString(PyExc_TypeError, "the buffer is read-only"); return -1; }
    if (refuses(self) || find_part(self, item, &start, &bytes, &single)) return -1;
    char *at = (char *)self->view.buf + start;
    return single || PyIndex_Check(value) ? fill(at, bytes, value) : copy_in(at, bytes, value);
}

/* --- the type --------------------------------------------------------------------------------------------- */

GETTER(buffer, address, "Where it begins.") { return PyLong_FromVoidPtr(self->view.buf); }
GETTER(buffer, nbytes, "Its bytes.") { return PyLong_FromSsize_t(self->view.len); }
GETTER(buffer, readonly, "Whether it cannot be written to.") { return PyBool_FromLong(self->view.readonly); }
GETTER(buffer, format, "The format of its items.") { (void)self; return PyUnicode_FromString("B"); }
GETTER(buffer, itemsize, "The bytes of an item.") { (void)self; return PyLong_FromLong(1); }
GETTER(buffer, obj, "The object whose memory it is, or None.")
{
    if (self->keeper) return Py_NewRef(PyTuple_GetItem(self->keeper, 0));
    return self->view.obj ? PyObject_GetAttrString(self->view.obj, "obj") : Py_NewRef(Py_None);
}

static void piece_dealloc(PyObject *object)
{
    PyBuffer_Release(&((buffer *)object)->view);
    Py_XDECREF(((buffer *)object)->keeper);
    PyObject_ClearWeakRefs(object);
    free_object(object);
}

static PyMemberDef members[] = {{"__weaklistoffset__", T_PYSSIZET, offsetof(buffer, weakrefs), READONLY, NULL}, {NULL, 0, 0, 0, NULL}};
static PyGetSetDef getters[] = {
    GETROW(buffer, address), GETROW(buffer, obj), GETROW(buffer, nbytes), GETROW(buffer, readonly), GETROW(buffer, format), GETROW(buffer, itemsize), END_OF_GETROWS};
static PyMethodDef methods[] = {
    CLASSROW(buffer, allocate), CLASSROW(buffer, frombuffer), CLASSROW(buffer, fromaddress), ROW(buffer, cast), ROW(buffer, tobytes), ROW0(buffer, toreadonly),
    ROW0(buffer, release), END_OF_ROWS};
static PyType_Slot slots[] = {
    SLOT(Py_tp_new, piece_new), SLOT(Py_tp_dealloc, piece_dealloc), SLOT(Py_bf_getbuffer, piece_buffer), SLOT(Py_bf_releasebuffer, take_back), SLOT(Py_mp_length, piece_length),
    SLOT(Py_sq_item, piece_at), SLOT(Py_mp_subscript, piece_item), SLOT(Py_mp_ass_subscript, piece_set), {Py_tp_members, members}, {Py_tp_getset, getters}, {Py_tp_methods, methods},
    {Py_tp_doc, "Memory in one piece, byte by byte. buffer(object) shows the memory of an object; Alloc_mem and windows have theirs."}, {0, NULL}};
static PyType_Spec spec = {"mmpi.MPI.buffer", sizeof(buffer), 0, Py_TPFLAGS_DEFAULT, slots};

int add_buffer_type(PyObject *module)
{
    return add_type(module, &PieceType, &spec, NULL, methods) || PyModule_AddObjectRef(module, "memory", (PyObject *)PieceType) ? -1 : 0;
}
