/* Buffers: a Python object becomes an address, a count and a datatype. */
#include "core.h"
#include <limits.h>
#include <string.h>

/* --- element types ---------------------------------------------------------------------------------------- */

typedef struct { MPI_Datatype type; int size; } Element;
enum { BUILTIN_TYPES = 24, HALF = 23 };
static Element by_number[BUILTIN_TYPES], by_code[128];

/* NumPy's type_num, the buffer protocol's code, C type, MPI type */
#define ELEMENTS(X)                                                                                       \
    X(0, '?', char, MPI_C_BOOL)                   X(1, 'b', signed char, MPI_SIGNED_CHAR)                 \
    X(2, 'B', unsigned char, MPI_UNSIGNED_CHAR)   X(3, 'h', short, MPI_SHORT)                             \
    X(4, 'H', unsigned short, MPI_UNSIGNED_SHORT) X(5, 'i', int, MPI_INT)                                 \
    X(6, 'I', unsigned, MPI_UNSIGNED)             X(7, 'l', long, MPI_LONG)                               \
    X(8, 'L', unsigned long, MPI_UNSIGNED_LONG)   X(9, 'q', long long, MPI_LONG_LONG)                     \
    X(10, 'Q', unsigned long long, MPI_UNSIGNED_LONG_LONG)                                                \
    X(11, 'f', float, MPI_FLOAT)                  X(12, 'd', double, MPI_DOUBLE)                          \
    X(13, 'g', long double, MPI_LONG_DOUBLE)      X(14, 'F', float[2], MPI_C_FLOAT_COMPLEX)               \
    X(15, 'D', double[2], MPI_C_DOUBLE_COMPLEX)   X(16, 'G', long double[2], MPI_C_LONG_DOUBLE_COMPLEX)

/* the other codes that name a type in a spec such as [buf, "f8"] */
#define CODES(X)                                                                                          \
    X("i1", MPI_INT8_T) X("i2", MPI_INT16_T) X("i4", MPI_INT32_T) X("i8", MPI_INT64_T)                    \
    X("u1", MPI_UINT8_T) X("u2", MPI_UINT16_T) X("u4", MPI_UINT32_T) X("u8", MPI_UINT64_T)                \
    X("f4", MPI_FLOAT) X("f8", MPI_DOUBLE) X("f16", MPI_LONG_DOUBLE) X("b1", MPI_C_BOOL)                  \
    X("c8", MPI_C_FLOAT_COMPLEX) X("c16", MPI_C_DOUBLE_COMPLEX) X("c32", MPI_C_LONG_DOUBLE_COMPLEX)       \
    X("Zf", MPI_C_FLOAT_COMPLEX) X("Zd", MPI_C_DOUBLE_COMPLEX) X("Zg", MPI_C_LONG_DOUBLE_COMPLEX)         \
    X("n", MPI_COUNT) X("N", MPI_UNSIGNED_LONG) X("p", MPI_AINT) X("P", MPI_UNSIGNED_LONG)                \
    X("c", MPI_CHAR) X("a", MPI_CHAR) X("S", MPI_CHAR) X("S1", MPI_CHAR) X("s", MPI_CHAR) X("1s", MPI_CHAR) \
    X("U", MPI_WCHAR) X("U1", MPI_WCHAR) X("w", MPI_WCHAR) X("1w", MPI_WCHAR) X("u", MPI_UINT16_T) X("1u", MPI_UINT16_T) \
    X("M", MPI_INT64_T) X("M8", MPI_INT64_T) X("m", MPI_INT64_T) X("m8", MPI_INT64_T)

void prepare_elements(void)             /* Open MPI's handles are addresses: no static initialisers */
{
#define ELEMENT(number, code, ctype, mpi) by_number[number] = by_code[code] = (Element){mpi, sizeof(ctype)};
    ELEMENTS(ELEMENT)
    by_code['c'] = (Element){MPI_CHAR, 1};
    by_code['n'] = (Element){MPI_COUNT, sizeof(MPI_Count)};
    by_code['P'] = (Element){MPI_AINT, sizeof(MPI_Aint)};
    by_code['N'] = by_code['L'];
    if (MPIX_C_FLOAT16) by_number[HALF] = by_code['e'] = (Element){MPIX_C_FLOAT16, 2};
}

/* Some types exist in one build of a library and not in the next: forget those it does not know. After MPI_Init. */
void verify_elements(void)
{
    for (int i = 0; i < 128; i++) {
        Element *e = i < BUILTIN_TYPES ? &by_number[i] : &by_code[i];
        int size = 0;
        if (e->size && (e->type == MPI_DATATYPE_NULL || MPI_Type_size(e->type, &size) || size != e->size)) e->size = 0;
    }
    if (!by_number[HALF].size) by_code['e'].size = 0;
}

MPI_Datatype type_of_code(const char *code)
{
    if (*code && strchr("@=<", *code)) code++;          /* little-endian machines */
#define CODE(text, mpi) if (strcmp(code, text) == 0) return mpi;
    CODES(CODE)
    if (strcmp(code, "f2") == 0) code = "e";
    return code[0] && !code[1] && code[0] > 0 && by_code[(int)code[0]].size ? by_code[(int)code[0]].type : MPI_DATATYPE_NULL;
}

int add_typedict(PyObject *module)
{
    PyObject *dict = PyDict_New();
    int bad = !dict;
#define ADD(text, mpi)                                                                                    \
    if (!bad && mpi != MPI_DATATYPE_NULL) {                                                               \
        MPI_Datatype handle_ = mpi;                                                                       \
        PyObject *type_ = new_handle(DatatypeType, &handle_);                                             \
        bad = !type_ || PyDict_SetItemString(dict, text, type_);                                          \
        Py_XDECREF(type_);                                                                                \
    }
#define ADD_ELEMENT(number, code, ctype, mpi) ADD(((char[]){code, 0}), mpi)
    ELEMENTS(ADD_ELEMENT)
    CODES(ADD)
    if (MPIX_C_FLOAT16) { ADD("e", MPIX_C_FLOAT16) ADD("f2", MPIX_C_FLOAT16) }
    bad = bad || PyModule_AddObjectRef(module, "_typedict", dict);
    Py_XDECREF(dict);
    return bad ? -1 : 0;
}

static const Element *element(const char *format, Py_ssize_t itemsize)
{
    const char *f = format ? format : "B";
    static const char pair[][3] = {"Zf", "Zd", "Zg"}, codes[] = "FDG";
    if (*f == '@' || *f == '=' || *f == '<' || *f == '|') f++;
    for (int i = 0; *f == 'Z' && i < 3; i++)
        if (strcmp(f, pair[i]) == 0) return &by_code[(int)codes[i]];
    if (!f[0] || f[1] || f[0] < 0) return NULL;
    const Element *e = &by_code[(int)f[0]];
    return e->size && e->size == itemsize ? e : NULL;
}

/* --- looking at an object --------------------------------------------------------------------------------- */

typedef struct { void *addr; Py_ssize_t bytes; const Element *element; Element own; char format[24]; } Memory;

int is_array(PyObject *object)
{
    static PyTypeObject *class;
    PyTypeObject *type = Py_TYPE(object);
    if (class || type == &PyByteArray_Type || type == &PyBytes_Type) return type == class;
    PyObject *numpy = PyDict_GetItemString(PyImport_GetModuleDict(), "numpy");
    if (numpy && !(class = (PyTypeObject *)PyObject_GetAttrString(numpy, "ndarray"))) PyErr_Clear();
    return type == class;
}

/* 1 if the array can be used in place, 0 if the buffer protocol has to look at it */
static int in_place(Frame *frame, PyObject *object, int access, Memory *m)
{
    const Array *a = (const Array *)object;
    const Descr *d = (const Descr *)a->descr;
    if (!(a->flags & ONE_SEGMENT) || !(a->flags & ALIGNED) || (access == TO_WRITE && !(a->flags & WRITEABLE))) return 0;
    if (d->type_num < 0 || d->type_num >= BUILTIN_TYPES || d->order == '>' || !by_number[d->type_num].size) return 0;
    m->addr = a->data;
    m->element = &by_number[d->type_num];
    m->bytes = m->element->size;
    for (int i = 0; i < a->nd; i++) m->bytes *= a->shape[i];
    frame_hold(frame, object);
    return 1;
}

/* the buffer protocol refused: say why in one way for all exporters */
static int explain(PyObject *object, int access)
{
    Py_buffer view;
    const char *why = "cannot be used as a buffer by MPI";
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    if (PyObject_GetBuffer(object, &view, PyBUF_FULL_RO) == 0) {
        why = access == TO_WRITE && view.readonly ? "is read-only, and MPI would write into it" : "is not contiguous in memory";
        PyBuffer_Release(&view);
        Py_CLEAR(value);
    } else
        PyErr_Clear();
    if (value) PyErr_Format(PyExc_BufferError, "%R %s: %S", (PyObject *)Py_TYPE(object), why, value);
    else PyErr_Format(PyExc_BufferError, "%R %s", (PyObject *)Py_TYPE(object), why);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(trace);
    return -1;
}

static int by_protocol(Frame *frame, PyObject *object, int access, Memory *m)
{
    Py_buffer *view = take_view(frame, object, PyBUF_ANY_CONTIGUOUS | PyBUF_FORMAT | (access == TO_WRITE ? PyBUF_WRITABLE : 0));
    if (!view) return explain(object, access);
    m->addr = view->buf;
    m->bytes = view->len;
    m->element = element(view->format, view->itemsize);
    if (!m->element) { strncpy(m->format, view->format, sizeof m->format - 1); }
    return 0;
}

/* it must be exported, lest somebody resizes it, but it needs no questions */
static int by_bytearray(Frame *frame, PyObject *object, Memory *m)
{
    const Py_buffer *view = take_view(frame, object, PyBUF_WRITABLE);
    if (!view) return -1;
    m->addr = view->buf;
    m->bytes = view->len;
    m->element = &by_code['B'];
    return 0;
}

/* --- DLPack and the CUDA array interface ------------------------------------------------------------------ */

typedef struct { int32_t device_type, device_id; } Device;
typedef struct { uint8_t code, bits; uint16_t lanes; } TensorType;
typedef struct {                        /* DLTensor of DLPack's C header */
    void *data; Device device; int32_t ndim; TensorType dtype; int64_t *shape, *strides; uint64_t offset;
} Tensor;
enum { CPU = 1, CUDA_HOST = 3, CUDA_MANAGED = 13 };

static const Element *tensor_element(TensorType t)
{
    static const struct { uint8_t code, bits; char type; } known[] = {
        {0, 8, 'b'}, {0, 16, 'h'}, {0, 32, 'i'}, {0, 64, 'l'}, {1, 8, 'B'}, {1, 16, 'H'}, {1, 32, 'I'}, {1, 64, 'L'}, {2, 16, 'e'},
        {2, 32, 'f'}, {2, 64, 'd'}, {2, 128, 'g'}, {5, 64, 'F'}, {5, 128, 'D'}, {6, 8, '?'}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (t.lanes == 1 && known[i].code == t.code && known[i].bits == t.bits && by_code[(int)known[i].type].size)
            return &by_code[(int)known[i].type];
    return NULL;
}

/* C or Fortran order; strides count items, an absent one means C order */
static int is_dense(int64_t ndim, const int64_t *shape, const int64_t *strides)
{
    int64_t c = 1, f = 1, good_c = 1, good_f = 1;
    for (int64_t i = 0; strides && i < ndim; i++) {
        if (shape[i] == 0) return 1;
        if (shape[i] != 1) good_f &= strides[i] == f;
        if (shape[ndim - 1 - i] != 1) good_c &= strides[ndim - 1 - i] == c;
        f *= shape[i];
        c *= shape[ndim - 1 - i];
    }
    return good_c || good_f;
}

/* one more dimension of the array whose bytes m counts */
static int extend(Memory *m, int64_t n)
{
    if (n >= 0 && !__builtin_mul_overflow(m->bytes, (Py_ssize_t)n, &m->bytes)) return 0;
    if (!PyErr_Occurred()) PyErr_Format(PyExc_BufferError, "the array's shape has a dimension of %lld", (long long)n);
    return -1;
}

typedef struct { uint32_t major, minor; void *context, (*deleter)(void *); uint64_t flags; Tensor tensor; } Versioned;
enum { READ_ONLY = 1 };

/* the tensor in a capsule of either generation */
static const Tensor *tensor_of(PyObject *capsule, int access)
{
    if (!PyCapsule_IsValid(capsule, "dltensor_versioned"))
        return PyCapsule_GetPointer(capsule, "dltensor");       /* the first member of what the capsule holds */
    const Versioned *v = PyCapsule_GetPointer(capsule, "dltensor_versioned");
    if (v->major != 1) { PyErr_Format(PyExc_BufferError, "DLPack %u.%u is not known here", v->major, v->minor); return NULL; }
    if (access == TO_WRITE && v->flags & READ_ONLY) { PyErr_SetString(PyExc_BufferError, "DLPack: the tensor is read-only, and MPI would write into it"); return NULL; }
    return &v->tensor;
}

static PyObject *capsule_of(PyObject *object)
{
    PyObject *method = PyObject_GetAttrString(object, "__dlpack__"), *version = Py_BuildValue("{s(ii)}", "max_version", 1, 0);
    PyObject *nothing = PyTuple_New(0), *capsule = method && version && nothing ? PyObject_Call(method, nothing, version) : NULL;
    if (!capsule && method && PyErr_ExceptionMatches(PyExc_TypeError)) {        /* a producer from before DLPack 1.0 */
        PyErr_Clear();
        capsule = PyObject_CallNoArgs(method);
    }
    Py_XDECREF(method);
    Py_XDECREF(version);
    Py_XDECREF(nothing);
    return capsule;
}

static int by_dlpack(Frame *frame, PyObject *object, int access, Memory *m)
{
    PyObject *capsule = capsule_of(object);
    if (!capsule) return -1;
    frame_hold(frame, capsule);                         /* not consumed: its destructor gives the memory back */
    Py_DECREF(capsule);
    const Tensor *t = tensor_of(capsule, access);
    if (!t) return -1;
    int kind = t->device.device_type;
    if (kind != CPU && kind != CUDA_HOST && kind != CUDA_MANAGED) {
        PyErr_Format(PyExc_BufferError, "DLPack: memory of device type %d cannot be given to this MPI library", kind);
        return -1;
    }
    if (!is_dense(t->ndim, t->shape, t->strides)) { PyErr_SetString(PyExc_BufferError, "DLPack: the tensor is not contiguous in memory"); return -1; }
    m->element = tensor_element(t->dtype);
    PyOS_snprintf(m->format, sizeof m->format, "%d:%d:%d", t->dtype.code, t->dtype.bits, t->dtype.lanes);
    m->addr = t->data ? (char *)t->data + t->offset : NULL;
    m->bytes = (t->dtype.bits * t->dtype.lanes + 7) / 8;
    for (int i = 0; i < t->ndim; i++)
        if (extend(m, t->shape[i])) return -1;
    return 0;
}

static int cai_strides(PyObject *dict, PyObject *shape, Py_ssize_t itemsize)
{
    PyObject *strides = PyDict_GetItemString(dict, "strides");
    if (!strides || strides == Py_None) return 1;
    int64_t s[64], n[64];
    Py_ssize_t ndim = PyTuple_Size(shape);
    if (!PyTuple_Check(strides) || ndim > 64 || PyTuple_Size(strides) != ndim) return 0;
    for (Py_ssize_t i = 0; i < ndim; i++) {
        n[i] = PyLong_AsLongLong(PyTuple_GetItem(shape, i));
        s[i] = PyLong_AsLongLong(PyTuple_GetItem(strides, i)) / itemsize;
    }
    return !PyErr_Occurred() && is_dense(ndim, n, s);
}

/* "<f8": the item's size from its digits, its type from the table of codes */
static int cai_type(const char *typestr, Memory *m, Py_ssize_t *itemsize)
{
    const char *digits = typestr ? typestr + strcspn(typestr, "0123456789") : "";
    *itemsize = 0;
    while (*digits >= '0' && *digits <= '9' && *itemsize < INT_MAX / 16) *itemsize = *itemsize * 10 + (*digits++ - '0');
    if (!*itemsize) { PyErr_SetString(PyExc_BufferError, "__cuda_array_interface__: no typestr"); return -1; }
    strncpy(m->format, typestr, sizeof m->format - 1);
    MPI_Datatype type = *typestr == '>' ? MPI_DATATYPE_NULL : type_of_code(typestr + (*typestr == '|'));
    if (type == MPI_DATATYPE_NULL) return 0;
    m->own = (Element){type, (int)*itemsize};
    m->element = &m->own;
    return 0;
}

static int by_cai(Frame *frame, PyObject *dict, int access, Memory *m)
{
    PyObject *data = PyDict_GetItemString(dict, "data"), *shape = PyDict_GetItemString(dict, "shape");
    PyObject *typestr = PyDict_GetItemString(dict, "typestr");
    Py_ssize_t itemsize;
    if (!data || !shape || !typestr || !PyTuple_Check(data) || PyTuple_Size(data) != 2 || !PyTuple_Check(shape) || !PyUnicode_Check(typestr)) {
        PyErr_SetString(PyExc_BufferError, "__cuda_array_interface__: data (two items), shape (a tuple) and typestr are needed");
        return -1;
    }
    PyObject *mask = PyDict_GetItemString(dict, "mask");
    if (mask && mask != Py_None) { PyErr_SetString(PyExc_BufferError, "__cuda_array_interface__: an array with a mask cannot be communicated"); return -1; }
    const char *text = PyUnicode_AsUTF8AndSize(typestr, NULL);
    if (!text || cai_type(text, m, &itemsize)) return -1;
    if (access == TO_WRITE && PyObject_IsTrue(PyTuple_GetItem(data, 1))) {
        PyErr_SetString(PyExc_BufferError, "__cuda_array_interface__: the array is read-only, and MPI would write into it");
        return -1;
    }
    if (!cai_strides(dict, shape, itemsize)) {
        if (!PyErr_Occurred()) PyErr_SetString(PyExc_BufferError, "__cuda_array_interface__: the array is not contiguous in memory");
        return -1;
    }
    m->addr = PyLong_AsVoidPtr(PyTuple_GetItem(data, 0));
    m->bytes = itemsize;
    for (Py_ssize_t i = 0; i < PyTuple_Size(shape); i++)
        if (extend(m, PyLong_AsLongLong(PyTuple_GetItem(shape, i)))) return -1;
    frame_hold(frame, dict);
    return PyErr_Occurred() ? -1 : 0;
}

static int has(PyObject *object, const char *name) { return PyObject_HasAttrString((PyObject *)Py_TYPE(object), name); }

static int look(Frame *frame, PyObject *object, int access, Memory *m)
{
    *m = (Memory){.format = ""};
    if (Py_TYPE(object) == &PyByteArray_Type) return by_bytearray(frame, object, m);
    if (is_array(object) && in_place(frame, object, access, m)) return 0;
    if (PyObject_CheckBuffer(object)) return by_protocol(frame, object, access, m);
    if (has(object, "__dlpack__")) return by_dlpack(frame, object, access, m);
    if (!has(object, "__cuda_array_interface__")) {
        PyErr_Format(PyExc_TypeError, "expected a buffer or a list [buffer, count, datatype], not %R", (PyObject *)Py_TYPE(object));
        return -1;
    }
    PyObject *dict = PyObject_GetAttrString(object, "__cuda_array_interface__");
    int bad = !dict || frame_hold(frame, object) || !PyDict_Check(dict) || by_cai(frame, dict, access, m);
    if (bad && !PyErr_Occurred()) PyErr_SetString(PyExc_BufferError, "__cuda_array_interface__ is no dict");
    Py_XDECREF(dict);
    return bad ? -1 : 0;
}

/* --- BOTTOM, IN_PLACE, None ------------------------------------------------------------------------------- */

static PyObject *bottom_object, *in_place_object;

int is_in_place(PyObject *object) { return object == in_place_object || object == Py_None; }

void no_buffer(Buffer *b) { *b = (Buffer){.type = MPI_BYTE}; }

static PyObject *place(PyObject *module, const char *class, const char *name, void *address)
{
    PyObject *places = PyImport_ImportModule("mmpi.places"), *type = places ? PyObject_GetAttrString(places, class) : NULL;
    PyObject *number = PyLong_FromVoidPtr(address), *value = type && number ? PyObject_CallFunctionObjArgs(type, number, NULL) : NULL;
    if (value && (PyModule_AddObjectRef(module, name, value) || PyModule_AddObjectRef(module, class, type))) Py_CLEAR(value);
    Py_XDECREF(places);
    Py_XDECREF(type);
    Py_XDECREF(number);
    return value;
}

int prepare_places(PyObject *module)
{
    bottom_object = place(module, "BottomType", "BOTTOM", MPI_BOTTOM);
    in_place_object = bottom_object ? place(module, "InPlaceType", "IN_PLACE", MPI_IN_PLACE) : NULL;
    return in_place_object ? 0 : -1;
}

/* --- a buffer with one count ------------------------------------------------------------------------------ */

typedef struct { PyObject *buf, *counts, *displs, *type; } Spec;        /* NULL: not given */

static int is_type(PyObject *o) { return PyObject_TypeCheck(o, DatatypeType) || PyUnicode_Check(o); }
static int is_list(PyObject *o) { return (PyType_GetFlags(Py_TYPE(o)) & (Py_TPFLAGS_LIST_SUBCLASS | Py_TPFLAGS_TUPLE_SUBCLASS)) != 0; }
static PyObject *given(PyObject *o) { return o == Py_None ? NULL : o; }

/* [buf, count], [buf, type], [buf, count, type], [buf, (count, displ), type], [buf, count, displ, type] */
static int unpack_spec(Frame *frame, PyObject *list, Spec *s)
{
    PyObject *item[4] = {NULL}, *tuple = PySequence_Tuple(list);
    if (!tuple) return -1;
    frame_hold(frame, tuple);                           /* a list may change while we read */
    Py_DECREF(tuple);
    Py_ssize_t n = PyTuple_Size(tuple);
    if (n < 2 || n > 4) {
        PyErr_Format(PyExc_ValueError, "expected 2 to 4 items, from [buffer, count] to [buffer, count, displacement, datatype], not %zd", n);
        return -1;
    }
    for (Py_ssize_t i = 0; i < n; i++) item[i] = PyTuple_GetItem(tuple, i);
    *s = (Spec){item[0], NULL, NULL, NULL};
    if (n == 2 && is_type(item[1])) s->type = item[1];
    else if (n >= 2) s->counts = given(item[1]);
    if (n == 3) s->type = given(item[2]);
    if (n == 4) { s->displs = given(item[2]); s->type = given(item[3]); }
    return 0;
}

/* (count, displ) in place of a count; for vectors (counts, displs), which are sequences themselves */
static int unpack_pair(Spec *s, int vector)
{
    if (!s->counts || !is_list(s->counts) || s->displs || PySequence_Size(s->counts) != 2) return 0;
    PyObject *tuple = PySequence_Tuple(s->counts);
    if (!tuple) return -1;
    PyObject *first = PyTuple_GetItem(tuple, 0), *second = PyTuple_GetItem(tuple, 1);
    int pair = !vector || !PyLong_Check(first) || (second != Py_None && !PyIndex_Check(second));
    if (pair) { s->counts = given(first); s->displs = given(second); }
    Py_DECREF(tuple);                   /* its items live in the spec that the frame holds */
    return 0;
}

typedef struct { MPI_Aint extent, low, reach; } Layout;     /* low: true lower bound, reach: true upper bound */

static int layout_of(MPI_Datatype type, Layout *l)
{
    MPI_Aint lb, true_extent;
    int rc = RAISED;
    LOCAL(rc, MPI_Type_get_extent, type, &lb, &l->extent);
    if (!rc) LOCAL(rc, MPI_Type_get_true_extent, type, &l->low, &true_extent);
    if (!rc) l->reach = l->low + true_extent;
    return check(rc);
}

/* the memory behind a spec, its datatype and that one's layout */
static int open_spec(Frame *frame, const Spec *s, int access, Memory *m, Buffer *b, Layout *l)
{
    *b = (Buffer){.type = MPI_DATATYPE_NULL};
    *m = (Memory){.format = ""};
    if (s->type && to_type(frame, s->type, &b->type)) return -1;
    if (s->buf == bottom_object) {
        b->addr = MPI_BOTTOM;
        m->bytes = -1;                                  /* all of memory */
        if (!s->type) { PyErr_SetString(PyExc_ValueError, "BOTTOM needs a count and a datatype"); return -1; }
    } else if (s->buf != Py_None && look(frame, s->buf, access, m)) return -1;
    if (s->buf != bottom_object) b->addr = m->addr;
    if (!s->type && m->element) b->type = m->element->type;
    else if (!s->type && s->buf == Py_None) b->type = MPI_BYTE;
    else if (!s->type) {
        PyErr_Format(PyExc_TypeError, "no MPI datatype for items of format '%s': give one, as in [buffer, count, datatype]", m->format);
        return -1;
    }
    if (!s->type) { *l = (Layout){m->element ? m->element->size : 1, 0, m->element ? m->element->size : 1}; return 0; }
    return layout_of(b->type, l);
}

/* do `count` items at displacement `displ` (in extents) stay inside the memory? */
static int inside(const Memory *m, const Layout *l, MPI_Count count, MPI_Count displ)
{
    if (count < 0) { PyErr_Format(PyExc_ValueError, "negative count %lld", (long long)count); return -1; }
    if (count == 0 || m->bytes < 0) return 0;
    long double first = (long double)displ * l->extent, last = first + (long double)(count - 1) * l->extent;
    long double low = (first < last ? first : last) + l->low, high = (first < last ? last : first) + l->reach;
    if (low >= 0 && high <= (long double)m->bytes) return 0;
    PyErr_Format(PyExc_ValueError, "the buffer has %zd bytes, too few for %lld items of extent %lld at displacement %lld",
                 m->bytes, (long long)count, (long long)l->extent, (long long)displ);
    return -1;
}

static int infer(const Memory *m, const Layout *l, MPI_Count displ, int blocks, MPI_Count *count)
{
    Py_ssize_t bytes = m->bytes - (Py_ssize_t)(displ * l->extent);
    if (m->bytes <= 0) return *count = 0;
    if (l->extent <= 0 || bytes < 0 || bytes % l->extent) {
        PyErr_Format(PyExc_ValueError, "cannot infer the count: %zd bytes are no multiple of the datatype's extent %lld", bytes, (long long)l->extent);
        return -1;
    }
    *count = bytes / l->extent;
    if (blocks > 1 && *count % blocks) {
        PyErr_Format(PyExc_ValueError, "cannot infer the count: %lld items cannot be shared out among %d ranks", (long long)*count, blocks);
        return -1;
    }
    *count /= blocks > 1 ? blocks : 1;
    return 0;
}

/* Where MPI counts with ints: one item of a type that holds all (wrong only for reductions, which check). */
static int large_type(Frame *frame, Buffer *b)
{
    enum { CHUNK = 1 << 30 };
    MPI_Aint lb, extent;
    MPI_Datatype parts[2], chunk = MPI_DATATYPE_NULL, whole = MPI_DATATYPE_NULL;
    int rc = MPI_Type_get_extent(b->type, &lb, &extent);
    int lengths[2] = {(int)(b->count / CHUNK), (int)(b->count % CHUNK)};
    MPI_Aint at[2] = {0, (MPI_Aint)(b->count / CHUNK) * CHUNK * extent};
    if (!rc) LOCAL(rc, MPI_Type_contiguous, CHUNK, b->type, &chunk);
    parts[0] = chunk;
    parts[1] = b->type;
    if (!rc) LOCAL(rc, MPI_Type_create_struct, 2, lengths, at, parts, &whole);
    if (!rc) LOCAL(rc, MPI_Type_commit, &whole);
    if (chunk != MPI_DATATYPE_NULL) frame->types[frame->ntypes++] = chunk;
    if (whole != MPI_DATATYPE_NULL) frame->types[frame->ntypes++] = whole;
    if (check(rc)) return -1;
    b->type = whole;
    b->count = 1;
    return 0;
}

static int from_spec(Frame *frame, PyObject *object, int access, int blocks, Buffer *b)
{
    Spec s = {object, NULL, NULL, NULL};
    Memory m;
    Layout l;
    MPI_Count displ = 0;
    if (is_list(object) && (unpack_spec(frame, object, &s) || unpack_pair(&s, 0))) return -1;
    if (open_spec(frame, &s, access, &m, b, &l)) return -1;
    if (s.displs && to_count(frame, s.displs, &displ)) return -1;
    if (displ < 0) { PyErr_Format(PyExc_ValueError, "negative displacement %lld", (long long)displ); return -1; }
    if (s.counts ? to_count(frame, s.counts, &b->count) : infer(&m, &l, displ, blocks, &b->count)) return -1;
    if (b->count < 0) { PyErr_Format(PyExc_ValueError, "negative count %lld", (long long)b->count); return -1; }
    MPI_Count total = b->count;
    if (__builtin_mul_overflow(total, (MPI_Count)(blocks > 1 ? blocks : 1), &total)) total = INT64_MAX;
    if (inside(&m, &l, total, displ)) return -1;
    if (m.bytes >= 0 && (long double)displ * l.extent > m.bytes) {
        PyErr_Format(PyExc_ValueError, "displacement %lld is beyond the buffer's %zd bytes", (long long)displ, m.bytes);
        return -1;
    }
    if (displ) b->addr = (char *)b->addr + displ * l.extent;
    b->bytes = b->count * l.extent;
    return 0;
}

/* the common case, a bare array or bytes-like object, without the detours */
static int plain(Frame *frame, PyObject *object, int access, Buffer *b)
{
    Memory m;
    if (look(frame, object, access, &m)) return -1;
    if (!m.element) {
        PyErr_Format(PyExc_TypeError, "no MPI datatype for items of format '%s': give one, as in [buffer, count, datatype]", m.format);
        return -1;
    }
    *b = (Buffer){.addr = m.addr, .count = m.bytes / m.element->size, .bytes = m.bytes, .type = m.element->type};
    return 0;
}

static int any_buffer(Frame *frame, PyObject *object, int access, int blocks, Buffer *b)
{
    int simple = blocks <= 1 && !is_list(object) && object != Py_None && object != bottom_object;
    if (simple ? plain(frame, object, access, b) : from_spec(frame, object, access, blocks, b)) return -1;
    return b->count <= INT_MAX || large_counts ? 0 : large_type(frame, b);
}

int to_buffer(Frame *frame, const char *argument, PyObject *object, int access, int blocks, Buffer *b)
{
    if (object == Py_None) {
        PyErr_SetString(PyExc_TypeError, "expected a buffer, not None (which only PROC_NULL takes)");
        return blame(frame, argument);
    }
    return any_buffer(frame, object, access, blocks, b) ? blame(frame, argument) : 0;
}

int peer_buffer(Frame *frame, const char *argument, PyObject *object, int access, int peer, Buffer *b)
{
    if (peer != MPI_PROC_NULL) return to_buffer(frame, argument, object, access, 1, b);
    no_buffer(b);
    return 0;
}

/* the same data in the frame's memory */
int copy_buffer(Frame *frame, const Buffer *from, Buffer *to)
{
    Layout l;
    if (layout_of(from->type, &l)) return -1;
    MPI_Aint last = (from->count - 1) * l.extent, low = l.low + (last < 0 ? last : 0), high = l.reach + (last > 0 ? last : 0);
    *to = *from;
    if (from->count == 0) return 0;
    char *copy = frame_memory(frame, (size_t)(high - low), 1);
    if (!copy) return -1;
    memcpy(copy, (const char *)from->addr + low, (size_t)(high - low));
    to->addr = copy - low;
    return 0;
}

/* --- buffers with counts and displacements ---------------------------------------------------------------- */

static void put(void *array, int i, MPI_Count value, int aint)
{
    if (!large_counts) ((int *)array)[i] = (int)value;
    else if (aint) ((MPI_Aint *)array)[i] = (MPI_Aint)value;
    else ((MPI_Count *)array)[i] = value;
}

/* `n` numbers from a sequence, or n times the same one, or (displacements) multiples of it */
static int to_numbers(Frame *frame, const char *what, PyObject *object, int n, int stride, MPI_Count *numbers)
{
    if (PyIndex_Check(object) && !PySequence_Check(object)) {
        MPI_Count one;
        if (to_count(frame, object, &one)) return -1;
        for (int i = 0; i < n; i++) numbers[i] = stride ? i * one : one;
        return 0;
    }
    Py_ssize_t length = PySequence_Size(object);
    if (length < 0) return -1;
    if (length != n) { PyErr_Format(PyExc_ValueError, "%zd %s for %d ranks", length, what, n); return -1; }
    for (int i = 0; i < n; i++) {
        PyObject *item = PySequence_GetItem(object, i);
        int bad = !item || to_count(frame, item, &numbers[i]);
        Py_XDECREF(item);
        if (bad) return -1;
    }
    return 0;
}

static int to_array(Frame *frame, const MPI_Count *numbers, int n, int aint, void **array)
{
    *array = frame_memory(frame, (size_t)n, large_counts ? 8 : sizeof(int));
    for (int i = 0; *array && i < n; i++) {
        if (!large_counts && (numbers[i] > INT_MAX || numbers[i] < INT_MIN)) {
            PyErr_Format(PyExc_OverflowError, "%lld is more than this MPI library can count: it has no large-count functions", (long long)numbers[i]);
            return -1;
        }
        put(*array, i, numbers[i], aint);
    }
    return *array ? 0 : -1;
}

static int vector(Frame *frame, PyObject *object, int access, int blocks, Buffer *b)
{
    Spec s = {object, NULL, NULL, NULL};
    Memory m;
    Layout l;
    MPI_Count *counts = frame_memory(frame, 2 * (size_t)blocks, sizeof *counts), *displs = counts + blocks, each;
    if (!counts || (is_list(object) && (unpack_spec(frame, object, &s) || unpack_pair(&s, 1)))) return -1;
    if (open_spec(frame, &s, access, &m, b, &l)) return -1;
    if (s.counts && to_numbers(frame, "counts", s.counts, blocks, 0, counts)) return -1;
    if (!s.counts && infer(&m, &l, 0, blocks, &each)) return -1;
    for (int i = 0; !s.counts && i < blocks; i++) counts[i] = each;
    if (s.displs && to_numbers(frame, "displacements", s.displs, blocks, 1, displs)) return -1;
    for (int i = 1; !s.displs && i < blocks; i++) displs[i] = displs[i - 1] + counts[i - 1];
    for (int i = 0; i < blocks; i++) {
        if (inside(&m, &l, counts[i], displs[i])) return -1;
        b->bytes += counts[i] * l.extent;
    }
    return to_array(frame, counts, blocks, 0, &b->counts) || to_array(frame, displs, blocks, 1, &b->displs);
}

int to_blocks(Frame *frame, const char *argument, PyObject *object, int access, int blocks, Buffer *b)
{
    if (object == Py_None) {
        PyErr_SetString(PyExc_TypeError, "expected a buffer or a list [buffer, counts, datatype], not None");
        return blame(frame, argument);
    }
    return vector(frame, object, access, blocks, b) ? blame(frame, argument) : 0;
}

int to_counts(Frame *frame, const char *argument, PyObject *object, int blocks, Buffer *b)
{
    MPI_Count *counts = frame_memory(frame, (size_t)blocks, sizeof *counts);
    int bad = !counts || to_numbers(frame, "counts", object, blocks, 0, counts) || to_array(frame, counts, blocks, 0, &b->counts);
    return bad ? blame(frame, argument) : 0;
}

/* [buf, types], [buf, (counts, displs), types], [buf, counts, displs, types]; displacements in bytes */
static int wvector(Frame *frame, PyObject *object, int access, int blocks, Buffer *b)
{
    Spec s;
    Types types;
    Memory m = {.bytes = -1};
    MPI_Count *counts = frame_memory(frame, 2 * (size_t)blocks, sizeof *counts), *displs = counts + blocks;
    if (!counts) return -1;
    if (!is_list(object)) { PyErr_SetString(PyExc_TypeError, "expected [buffer, (counts, displacements), datatypes]"); return -1; }
    if (unpack_spec(frame, object, &s)) return -1;
    if (!s.type) { s.type = s.counts; s.counts = NULL; }
    if (!s.type) { PyErr_SetString(PyExc_ValueError, "a datatype for each rank is needed"); return -1; }
    if (unpack_pair(&s, 1) || to_types(frame, s.type, &types)) return -1;
    if (types.count != blocks) { PyErr_Format(PyExc_ValueError, "%d datatypes for %d ranks", types.count, blocks); return -1; }
    b->types = types.at;
    if (s.buf == Py_None) m.bytes = 0;
    else if (s.buf != bottom_object && look(frame, s.buf, access, &m)) return -1;
    b->addr = s.buf == bottom_object ? MPI_BOTTOM : m.addr;
    for (int i = 0; i < blocks; i++) counts[i] = s.buf != Py_None;
    if (s.counts && to_numbers(frame, "counts", s.counts, blocks, 0, counts)) return -1;
    if (s.displs && to_numbers(frame, "displacements", s.displs, blocks, 1, displs)) return -1;
    for (int i = 0; i < blocks; i++) {
        Layout l = {0, 0, 0};
        if (counts[i] && layout_of(b->types[i], &l)) return -1;
        Memory rest = {.bytes = m.bytes < 0 ? -1 : m.bytes - (Py_ssize_t)displs[i]};
        if (displs[i] < 0 && m.bytes >= 0) { PyErr_Format(PyExc_ValueError, "negative displacement %lld", (long long)displs[i]); return -1; }
        if (counts[i] && m.bytes >= 0 && rest.bytes < 0) rest.bytes = 0;
        if (inside(&rest, &l, counts[i], 0)) return -1;
        b->bytes += counts[i] * l.extent;
    }
    return to_array(frame, counts, blocks, 0, &b->counts) || to_array(frame, displs, blocks, 1, &b->displs);
}

int to_wblocks(Frame *frame, const char *argument, PyObject *object, int access, int blocks, Buffer *b)
{
    *b = (Buffer){.type = MPI_DATATYPE_NULL};
    return wvector(frame, object, access, blocks, b) ? blame(frame, argument) : 0;
}

int same_layout(const Frame *frame, const Buffer *send, const Buffer *receive)
{
    if (send->addr == MPI_IN_PLACE || (send->count == receive->count && send->type == receive->type)) return 0;
    PyErr_Format(PyExc_ValueError, "%s(%s): sendbuf and recvbuf differ: %lld and %lld items, or their datatypes", frame->signature->name,
                 frame->signature->text, (long long)send->count, (long long)receive->count);
    return -1;
}

PyObject *memory_of(void *addr, Py_ssize_t bytes, int writable)
{
    return PyMemoryView_FromMemory(addr ? addr : "", addr ? bytes : 0, writable ? PyBUF_WRITE : PyBUF_READ);
}
