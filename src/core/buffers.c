/* Buffers: a Python object becomes an address, a count and a datatype. */
#include "core.h"
#include <limits.h>
#include <string.h>
#include <unistd.h>

/* --- element types ---------------------------------------------------------------------------------------- */

typedef struct { MPI_Datatype type; MPI_Aint size; } Element;
enum { BUILTIN_TYPES = 24, HALF = 23 };
static Element by_number[BUILTIN_TYPES], by_code[128];

static Element bytes_of_anything;       /* MPI moves them, and can reduce none */

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
    X(15, 'D', double[2], MPI_C_DOUBLE_COMPLEX)   X(16, 'G', long double[2], MPI_C_LONG_DOUBLE_COMPLEX)   \
    X(21, 'M', int64_t, MPI_INT64_T)              X(22, 'm', int64_t, MPI_INT64_T)

void prepare_elements(void)             /* Open MPI's handles are addresses: no static initialisers */
{
#define ELEMENT(number, code, ctype, mpi) by_number[number] = by_code[code] = (Element){mpi, sizeof(ctype)};
    ELEMENTS(ELEMENT)
    by_code['c'] = (Element){MPI_CHAR, 1};
    by_code['n'] = (Element){MPI_COUNT, sizeof(MPI_Count)};
    by_code['P'] = (Element){MPI_AINT, sizeof(MPI_Aint)};
    by_code['N'] = by_code['L'];
    bytes_of_anything = (Element){MPI_BYTE, 1};
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

static PyObject *typedict, *array_layout;       /* mmpi/datatypes.py: the datatypes of all codes; how an array lies in memory */

int prepare_types(PyObject *module)
{
    PyObject *types = PyImport_ImportModule("mmpi.datatypes");
    typedict = types ? PyObject_CallMethod(types, "prepare", "On", module, (Py_ssize_t)sizeof(long double)) : NULL;
    array_layout = typedict ? PyObject_GetAttrString(types, "layout") : NULL;
    Py_XDECREF(types);
    return array_layout ? 0 : -1;
}

PyObject *type_of_code(PyObject *code)
{
    PyObject *type = PyDict_GetItemWithError(typedict, code);
    Py_UCS4 order = !type && !PyErr_Occurred() && PyUnicode_GetLength(code) > 1 ? PyUnicode_ReadChar(code, 0) : 0;
    if (order == '@' || order == '=' || order == '<' || order == '|') {         /* little-endian machines */
        PyObject *rest = PyUnicode_Substring(code, 1, PyUnicode_GetLength(code));
        type = rest ? PyDict_GetItemWithError(typedict, rest) : NULL;
        Py_XDECREF(rest);
    }
    return type && PyObject_TypeCheck(type, DatatypeType) ? type : NULL;
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

typedef struct { MPI_Aint extent, low, reach; MPI_Count size; } Layout;    /* low: true lower bound, reach: true upper bound, size: what travels */

static int layout_of(MPI_Datatype type, Layout *l)
{
    MPI_Aint lb, true_extent;
    int rc = RAISED;
    LOCAL(rc, MPI_Type_get_extent, type, &lb, &l->extent);
    if (!rc) LOCAL(rc, MPI_Type_get_true_extent, type, &l->low, &true_extent);
    if (!rc) l->reach = l->low + true_extent;
    if (!rc) rc = size_of_type(type, &l->size);
    return check(rc);
}

/* --- looking at an object --------------------------------------------------------------------------------- */

typedef struct {                        /* what is known of an object: count and form only of arrays that were laid out */
    void *addr;
    Py_ssize_t bytes, count;
    const Element *element;
    Element own;
    MPI_Datatype base;                  /* of one item, where own is many or has gaps */
    int form, many, device, copied;
    char format[24];
} Memory;

PyTypeObject *class_of(Imported *wanted)
{
    if (wanted->class) return wanted->class;
    if (!wanted->key) wanted->key = PyUnicode_InternFromString(wanted->module);
    PyObject *module = wanted->key ? PyDict_GetItemWithError(PyImport_GetModuleDict(), wanted->key) : NULL;
    if (!module) return NULL;
    wanted->class = (PyTypeObject *)PyObject_GetAttrString(module, wanted->name);
    if (!wanted->class) PyErr_Clear();
    return wanted->class;
}

static Imported ndarray = {"numpy", "ndarray", NULL, NULL}, array = {"array", "array", NULL, NULL};

int is_array_array(PyObject *object) { return Py_TYPE(object) == class_of(&array); }

/* without a look for NumPy where the class says enough */
int is_array(PyObject *object)
{
    PyTypeObject *class = Py_TYPE(object);
    if (ndarray.class) return class == ndarray.class;
    return class != &PyBytes_Type && class != &PyMemoryView_Type && !is_array_array(object) && class == class_of(&ndarray);
}

static int is_subarray(PyObject *object) { return ndarray.class && PyObject_TypeCheck(object, ndarray.class); }

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

/* as DLPack numbers them */
enum { CPU = 1, CUDA = 2, CUDA_HOST = 3, ROCM = 10, ROCM_HOST = 11, MANAGED = 13, ONEAPI = 14 };

static PyObject *ask(const char *function, PyObject *object, int number)
{
    PyObject *devices = PyImport_ImportModule("mmpi.devices"), *answer = devices ? PyObject_CallMethod(devices, function, "Oi", object, number) : NULL;
    Py_XDECREF(devices);
    return answer;
}

static int look(Frame *, PyObject *, int access, Memory *);

/* what MPI cannot reach, or the library cannot take, travels through a copy on the host */
static int through_host(Frame *frame, PyObject *object, int access, int device, Memory *m)
{
    if (!frame->signature || !frame->signature->copies) {
        PyErr_Format(PyExc_BufferError, "the memory is on a device (DLPack type %d), which this MPI library cannot reach", device);
        return -1;
    }
    PyObject *copy = ask("to_host", object, device), *pair = copy && access == TO_WRITE ? PyTuple_Pack(2, object, copy) : NULL;
    if (pair && !frame->copies) frame->copies = PyList_New(0);
    int bad = !copy || (access == TO_WRITE && (!pair || !frame->copies || PyList_Append(frame->copies, pair))) || look(frame, copy, access, m);
    m->copied = 1;
    Py_XDECREF(copy);
    Py_XDECREF(pair);
    return bad ? -1 : 0;
}

/* any other array, or one of a subclass: its layout as a datatype, made once */
static int by_layout(Frame *frame, PyObject *object, int access, Memory *m)
{
    const Array *a = (const Array *)object;
    PyObject *dtype = PyObject_GetAttrString(object, "dtype"), *shape = PyObject_GetAttrString(object, "shape"), *strides = PyObject_GetAttrString(object, "strides");
    PyObject *l = dtype && shape && strides ? PyObject_CallFunctionObjArgs(array_layout, dtype, shape, strides, NULL) : NULL, *type, *base;
    int overlaps, bad = !l || !PyArg_ParseTuple(l, "OOnnnipp", &type, &base, &m->own.size, &m->count, &m->bytes, &m->form, &m->many, &overlaps);
    if (!bad && access == TO_WRITE && (overlaps || !(a->flags & WRITEABLE))) {
        PyErr_SetString(PyExc_BufferError, overlaps ? "several items of the array lie in one place, and MPI would write into it" : "the array is read-only, and MPI would write into it");
        bad = 1;
    }
    if (!bad) {
        m->own.type = ((Datatype *)type)->handle;
        m->base = ((Datatype *)base)->handle;
        m->element = &m->own;
        m->addr = a->data;
        frame_hold(frame, object);
        frame_hold(frame, type);
    }
    Py_XDECREF(dtype);
    Py_XDECREF(shape);
    Py_XDECREF(strides);
    Py_XDECREF(l);
    if (!bad && m->own.size < 0 && frame->signature && frame->signature->forwards && frame->signature->copies) return through_host(frame, object, access, CPU, m);
    return bad ? -1 : 0;
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
    if (m->element) return 0;
    strncpy(m->format, view->format, sizeof m->format - 1);
    PyObject *code = PyUnicode_FromString(view->format), *type = code ? type_of_code(code) : NULL;
    Layout l;
    if (type && !layout_of(((Datatype *)type)->handle, &l) && l.extent == view->itemsize) {
        m->own = (Element){((Datatype *)type)->handle, l.extent};
        m->element = &m->own;
        frame_hold(frame, type);        /* the dict may lose it */
    }
    Py_XDECREF(code);
    return PyErr_Occurred() ? -1 : 0;
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

/* does the library say that it takes memory of this kind of device? */
static int takes(int device)
{
    int flag = 0;
    if (device == CUDA) flag = MPIX_Query_cuda_support && MPIX_Query_cuda_support();
    if (device == ROCM) flag = (MPIX_Query_rocm_support && MPIX_Query_rocm_support()) || (MPIX_Query_hip_support && MPIX_Query_hip_support());
    if (device == ONEAPI) flag = MPIX_Query_ze_support && MPIX_Query_ze_support();
    return flag;
}

/* Can the host read the byte? The system says so, without a signal. */
static int readable(const char *byte)
{
    static int ends[2];
    char copy;
    if (!ends[1] && pipe(ends)) { ends[1] = 0; return 0; }
    return write(ends[1], byte, 1) == 1 && read(ends[0], &copy, 1) == 1;
}

static int reachable(int device, const char *addr, Py_ssize_t bytes)
{
    return device == CPU || device == CUDA_HOST || device == ROCM_HOST || device == MANAGED || bytes <= 0 || takes(device) ||
           (readable(addr) && readable(addr + bytes - 1));
}

static const Element *tensor_element(TensorType t)
{
    static const struct { uint8_t code, bits; char type; } known[] = {
        {0, 8, 'b'}, {0, 16, 'h'}, {0, 32, 'i'}, {0, 64, 'l'}, {1, 8, 'B'}, {1, 16, 'H'}, {1, 32, 'I'}, {1, 64, 'L'}, {2, 16, 'e'},
        {2, 32, 'f'}, {2, 64, 'd'}, {2, 128, 'g'}, {5, 64, 'F'}, {5, 128, 'D'}, {5, 0, 'G'}, {6, 8, '?'}};
    if (t.lanes == 2 && t.code == 2) t = (TensorType){5, (uint8_t)(t.bits * 2), 1};     /* a complex number */
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (t.lanes == 1 && known[i].code == t.code && known[i].bits == t.bits && by_code[(int)known[i].type].size)
            return &by_code[(int)known[i].type];
    return &bytes_of_anything;
}

/* C or Fortran order; strides count items, an absent one means C order */
static int is_dense(int64_t ndim, const int64_t *shape, const int64_t *strides)
{
    int64_t c = 1, f = 1, good_c = 1, good_f = 1;
    for (int64_t i = 0; strides && i < ndim; i++) if (strides[i] < 0) return 0;
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
    if (PyCapsule_IsValid(capsule, "dltensor")) return PyCapsule_GetPointer(capsule, "dltensor");    /* the first member of what it holds */
    if (!PyCapsule_IsValid(capsule, "dltensor_versioned")) { PyErr_Format(PyExc_BufferError, "DLPack: %R is no capsule with a tensor", capsule); return NULL; }
    const Versioned *v = PyCapsule_GetPointer(capsule, "dltensor_versioned");
    if (v->major != 1) { PyErr_Format(PyExc_BufferError, "DLPack %u.%u is not known here", v->major, v->minor); return NULL; }
    if (access == TO_WRITE && v->flags & READ_ONLY) { PyErr_SetString(PyExc_BufferError, "DLPack: the tensor is read-only, and MPI would write into it"); return NULL; }
    return &v->tensor;
}

static int by_dlpack(Frame *frame, PyObject *object, int access, Memory *m)
{
    PyObject *capsule = ask("capsule_of", object, 0);
    if (!capsule) return -1;
    frame_hold(frame, capsule);                         /* not consumed: its destructor gives the memory back */
    Py_DECREF(capsule);
    const Tensor *t = tensor_of(capsule, access);
    if (!t) return -1;
    if (t->ndim < 0 || (t->ndim && !t->shape)) { PyErr_Format(PyExc_BufferError, "DLPack: a tensor of %d dimensions without a shape", t->ndim); return -1; }
    if (!is_dense(t->ndim, t->shape, t->strides)) { PyErr_SetString(PyExc_BufferError, "DLPack: the tensor is not contiguous in memory"); return -1; }
    m->element = tensor_element(t->dtype);
    m->addr = t->data ? (char *)t->data + t->offset : NULL;
    m->bytes = (t->dtype.bits * t->dtype.lanes + 7) / 8;
    for (int i = 0; i < t->ndim; i++)
        if (extend(m, t->shape[i])) return -1;
    m->device = t->device.device_type;
    return access == TO_LOCATE || reachable(m->device, m->addr, m->bytes) ? 0 : through_host(frame, object, access, m->device, m);
}

/* 0 with an exception if the object's own code raises */
static int has_interface(PyObject *object)
{
    PyObject *interface = PyObject_GetAttrString(object, "__cuda_array_interface__");
    if (!interface && PyErr_ExceptionMatches(PyExc_AttributeError)) PyErr_Clear();
    Py_XDECREF(interface);
    return interface != NULL;
}

static int by_cai(Frame *frame, PyObject *object, int access, Memory *m)
{
    PyObject *facts = ask("cuda_array", object, access == TO_WRITE), *code, *type = NULL;
    Py_ssize_t addr, size;
    const char *text;
    int bad = !facts || frame_hold(frame, object) || !PyArg_ParseTuple(facts, "nnnUs", &addr, &m->bytes, &size, &code, &text);
    if (!bad) {
        m->addr = (void *)addr;
        strncpy(m->format, text, sizeof m->format - 1);
        type = type_of_code(code);
        if (type) m->own = (Element){((Datatype *)type)->handle, size};
        m->element = type ? &m->own : PyUnicode_GetLength(code) ? &bytes_of_anything : NULL;
    }
    Py_XDECREF(facts);
    if (bad || PyErr_Occurred()) return -1;
    m->device = CUDA;
    return access == TO_LOCATE || reachable(CUDA, m->addr, m->bytes) ? 0 : through_host(frame, object, access, CUDA, m);
}

static int look(Frame *frame, PyObject *object, int access, Memory *m)
{
    *m = (Memory){.format = ""};
    if (Py_TYPE(object) == &PyByteArray_Type) return by_bytearray(frame, object, m);
    if (is_array(object)) return in_place(frame, object, access, m) ? 0 : by_layout(frame, object, access, m);
    if (PyObject_CheckBuffer(object) && !is_place(object)) return is_subarray(object) ? by_layout(frame, object, access, m) : by_protocol(frame, object, access, m);
    if (PyObject_HasAttrString(object, "__dlpack__")) return by_dlpack(frame, object, access, m);
    if (has_interface(object)) return by_cai(frame, object, access, m);
    if (!PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "expected a buffer or a list [buffer, count, datatype], not %R", (PyObject *)Py_TYPE(object));
    return -1;
}

int locate(Frame *frame, PyObject *object, void **addr, Py_ssize_t *bytes, int *on_host)
{
    Memory m;
    if (look(frame, object, TO_LOCATE, &m)) return -1;
    *addr = m.addr;
    *bytes = m.bytes;
    *on_host = m.device == 0 || m.device == CPU;
    return 0;
}

static int unknown(const Memory *m)
{
    int swapped = *m->format == '>' || *m->format == '#';
    PyErr_Format(swapped ? PyExc_BufferError : PyExc_TypeError, "no MPI datatype for items of format '%s': give one, as in [buffer, count, datatype]", m->format);
    return -1;
}

/* the same where only memory in one piece will do */
static int look_at_piece(Frame *frame, PyObject *object, int access, Memory *m)
{
    if (look(frame, object, access, m)) return -1;
    if (m->form != GAPS) return 0;
    PyErr_Format(PyExc_BufferError, "%R is not contiguous in memory", (PyObject *)Py_TYPE(object));
    return -1;
}

int to_memory(Frame *frame, const char *argument, PyObject *object, int access, void **addr, MPI_Count *bytes)
{
    Memory m;
    if (look_at_piece(frame, object, access, &m)) return blame(frame, argument);
    *addr = m.addr;
    *bytes = m.bytes;
    return 0;
}

void no_buffer(Buffer *b) { *b = (Buffer){.type = MPI_BYTE}; }

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

/* (count, displ) in place of a count; for vectors a tuple (counts, displs), or a list whose first item is a sequence */
static int unpack_pair(Spec *s, int vector)
{
    if (!s->counts || !is_list(s->counts) || s->displs || PySequence_Size(s->counts) != 2) return 0;
    PyObject *tuple = PySequence_Tuple(s->counts);
    if (!tuple) return -1;
    PyObject *first = PyTuple_GetItem(tuple, 0), *second = PyTuple_GetItem(tuple, 1);
    if (!vector || PyTuple_Check(s->counts) || !PyIndex_Check(first)) { s->counts = given(first); s->displs = given(second); }
    Py_DECREF(tuple);                   /* its items live in the spec that the frame holds */
    return 0;
}

/* the memory behind a spec, its datatype and that one's layout */
static int open_spec(Frame *frame, const Spec *s, int access, Memory *m, Buffer *b, Layout *l)
{
    *b = (Buffer){.type = MPI_DATATYPE_NULL};
    *m = (Memory){.format = ""};
    if (s->type && to_type(frame, s->type, &b->type)) return -1;
    if (is_bottom(s->buf)) {
        b->addr = MPI_BOTTOM;
        m->bytes = -1;                                  /* all of memory */
        if (!s->type) { PyErr_SetString(PyExc_ValueError, "BOTTOM needs a count and a datatype"); return -1; }
    } else if (s->buf != Py_None && look(frame, s->buf, access, m)) return -1;
    if (!is_bottom(s->buf)) b->addr = m->addr;
    b->copied = m->copied;
    if (!s->type && m->element) b->type = m->element->type;
    else if (!s->type && s->buf == Py_None) b->type = MPI_BYTE;
    else if (!s->type) {
        return unknown(m);
    }
    if (m->form == GAPS && (b->type == m->base || !s->type)) b->type = m->own.type;
    else if (m->form == GAPS) { PyErr_SetString(PyExc_BufferError, "the array is not in one piece, so its items cannot be taken for another datatype"); return -1; }
    if (m->form == GAPS && m->many && (s->counts || s->displs)) {
        PyErr_SetString(PyExc_ValueError, "the array is not in one piece and has more than one dimension: it can only be taken as a whole, without a count");
        return -1;
    }
    if (b->type == MPI_DATATYPE_NULL) { PyErr_SetString(PyExc_ValueError, "the datatype is null"); return -1; }
    if (m->form == GAPS || !s->type) {
        MPI_Aint size = m->element ? m->element->size : 1;
        b->form = m->form;
        *l = (Layout){size, 0, size, size};
        return 0;
    }
    m->form = NUMBER;                                    /* the type given decides */
    return layout_of(b->type, l);
}

/* do `count` items at displacement `displ` (in extents) stay inside the memory? */
static int inside(const Memory *m, const Layout *l, MPI_Count count, MPI_Count displ)
{
    if (count < 0) { PyErr_Format(PyExc_ValueError, "negative count %lld", (long long)count); return -1; }
    if (count == 0 || m->bytes < 0 || MUTANT(no_bounds)) return 0;
    if (m->form == GAPS && displ >= 0 && displ <= m->count && count <= m->count - displ) return 0;
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
    if (m->form == GAPS) *count = m->count - displ;
    else if (l->extent <= 0 || bytes < 0 || bytes % l->extent) {
        PyErr_Format(PyExc_ValueError, "cannot infer the count: %zd bytes are no multiple of the datatype's extent %lld", bytes, (long long)l->extent);
        return -1;
    }
    else *count = bytes / l->extent;
    if (blocks > 1 && *count % blocks) {
        PyErr_Format(PyExc_ValueError, "cannot infer the count: %lld items cannot be shared out among %d ranks", (long long)*count, blocks);
        return -1;
    }
    *count /= blocks > 1 ? blocks : 1;
    return 0;
}

int items_in(MPI_Count bytes, MPI_Datatype type, MPI_Count *count)
{
    Layout l;
    Memory m = {.bytes = (Py_ssize_t)bytes};
    if (layout_of(type, &l)) return -1;
    *count = l.extent > 0 ? bytes / l.extent : 0;
    return inside(&m, &l, *count, 0);
}

/* Where MPI counts with ints: one item of a type that holds all (wrong only for reductions, which check). */
static int large_type(Frame *frame, Buffer *b)
{
    MPI_Datatype whole = MPI_DATATYPE_NULL;
    int rc = long_type(b->count, b->type, &whole);
    if (!rc) LOCAL(rc, MPI_Type_commit, &whole);
    if (whole != MPI_DATATYPE_NULL) frame->types[frame->ntypes++] = whole;
    if (check(rc)) return -1;
    b->items = b->count;
    b->item = b->type;
    b->type = whole;
    b->count = 1;
    return 0;
}

int fit_count(Frame *frame, Buffer *b) { return b->count <= INT_MAX || large_counts ? 0 : large_type(frame, b); }

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
    if (displ && m.form != GAPS && l.extent <= 0) { PyErr_Format(PyExc_ValueError, "displacement %lld in extents of %lld", (long long)displ, (long long)l.extent); return -1; }
    if (s.counts ? to_count(frame, s.counts, &b->count) : infer(&m, &l, displ, blocks, &b->count)) return -1;
    if (b->count < 0) { PyErr_Format(PyExc_ValueError, "negative count %lld", (long long)b->count); return -1; }
    MPI_Count total = b->count;
    if (__builtin_mul_overflow(total, (MPI_Count)(blocks > 1 ? blocks : 1), &total)) total = INT64_MAX;
    if (inside(&m, &l, total, displ)) return -1;
    if (m.bytes >= 0 && m.form != GAPS && (long double)displ * l.extent > m.bytes) {
        PyErr_Format(PyExc_ValueError, "displacement %lld is beyond the buffer's %zd bytes", (long long)displ, m.bytes);
        return -1;
    }
    if (displ) b->addr = (char *)b->addr + displ * l.extent;
    b->bytes = b->count * (m.form == GAPS ? m.bytes / m.count : l.size);
    return 0;
}

/* the common case, a bare array or bytes-like object, without the detours */
static int plain(Frame *frame, PyObject *object, int access, Buffer *b)
{
    Memory m;
    if (look(frame, object, access, &m)) return -1;
    if (!m.element) {
        return unknown(&m);
    }
    *b = (Buffer){.addr = m.addr, .count = m.form ? m.count : m.bytes / m.element->size, .bytes = m.bytes, .type = m.element->type, .form = m.form, .copied = m.copied};
    return 0;
}

static int any_buffer(Frame *frame, PyObject *object, int access, int blocks, Buffer *b)
{
    int simple = blocks <= 1 && !is_list(object) && object != Py_None && !is_bottom(object);
    if (simple ? plain(frame, object, access, b) : from_spec(frame, object, access, blocks, b)) return -1;
    return fit_count(frame, b);
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
    Py_ssize_t length = PySequence_Check(object) ? PySequence_Size(object) : -1;
    PyErr_Clear();
    if (length < 0 && PyIndex_Check(object)) {          /* also an array of no dimension */
        MPI_Count one;
        if (to_count(frame, object, &one)) return -1;
        for (int i = 0; i < n; i++) numbers[i] = stride ? i * one : one;
        return 0;
    }
    if (length < 0) { PyErr_Format(PyExc_TypeError, "expected a number or a sequence of them, not %R", object); return -1; }
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
    MPI_Count *counts = frame_memory(frame, 2 * (size_t)blocks, sizeof *counts), *displs = counts + blocks, all;
    if (!counts || (is_list(object) && (unpack_spec(frame, object, &s) || unpack_pair(&s, 1)))) return -1;
    if (open_spec(frame, &s, access, &m, b, &l)) return -1;
    if (s.counts && to_numbers(frame, "counts", s.counts, blocks, 0, counts)) return -1;
    if (!s.counts && infer(&m, &l, 0, 1, &all)) return -1;
    for (int i = 0; !s.counts && i < blocks; i++) counts[i] = all / blocks + (i < all % blocks);
    if (s.displs && to_numbers(frame, "displacements", s.displs, blocks, 1, displs)) return -1;
    for (int i = 1; !s.displs && i < blocks; i++) displs[i] = displs[i - 1] + counts[i - 1];
    for (int i = 0; i < blocks; i++) {
        if (inside(&m, &l, counts[i], displs[i])) return -1;
        b->bytes += counts[i] * (m.form == GAPS ? m.bytes / m.count : l.size);
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

/* [buf, types], [buf, (counts, displs), types], [buf, counts, displs, types]; displacements in bytes, as ints or as addresses */
static int wvector(Frame *frame, PyObject *object, int access, int blocks, int addresses, Buffer *b)
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
    if (is_bottom(s.buf) && (!s.counts || !s.displs)) { PyErr_SetString(PyExc_ValueError, "BOTTOM needs counts and displacements"); return -1; }
    if (types.count != blocks) { PyErr_Format(PyExc_ValueError, "%d datatypes for %d ranks", types.count, blocks); return -1; }
    b->types = types.at;
    if (s.buf == Py_None) m.bytes = 0;
    else if (!is_bottom(s.buf) && look_at_piece(frame, s.buf, access, &m)) return -1;
    b->addr = is_bottom(s.buf) ? MPI_BOTTOM : m.addr;
    for (int i = 0; i < blocks; i++) counts[i] = s.buf != Py_None;
    if (s.counts && to_numbers(frame, "counts", s.counts, blocks, 0, counts)) return -1;
    if (s.displs && to_numbers(frame, "displacements", s.displs, blocks, 1, displs)) return -1;
    for (int i = 0; i < blocks; i++) {
        Layout l = {0, 0, 0, 0};
        if (counts[i] && layout_of(b->types[i], &l)) return -1;
        Memory rest = {.bytes = m.bytes < 0 ? -1 : m.bytes - (Py_ssize_t)displs[i]};
        if (displs[i] < 0 && m.bytes >= 0) { PyErr_Format(PyExc_ValueError, "negative displacement %lld", (long long)displs[i]); return -1; }
        if (counts[i] && m.bytes >= 0 && rest.bytes < 0) rest.bytes = 0;
        if (inside(&rest, &l, counts[i], 0)) return -1;
        b->bytes += counts[i] * (m.form == GAPS ? m.bytes / m.count : l.size);
    }
    if (to_array(frame, counts, blocks, 0, &b->counts)) return -1;
    if (!addresses) return to_array(frame, displs, blocks, 1, &b->displs);
    MPI_Aint *at = frame_memory(frame, (size_t)blocks, sizeof *at);
    for (int i = 0; at && i < blocks; i++) at[i] = (MPI_Aint)displs[i];
    b->displs = at;
    return at ? 0 : -1;
}

int to_wblocks(Frame *frame, const char *argument, PyObject *object, int access, int blocks, Buffer *b)
{
    *b = (Buffer){.type = MPI_DATATYPE_NULL};
    return wvector(frame, object, access, blocks, 0, b) ? blame(frame, argument) : 0;
}

int to_placed_wblocks(Frame *frame, const char *argument, PyObject *object, int access, int blocks, Buffer *b)
{
    *b = (Buffer){.type = MPI_DATATYPE_NULL};
    return wvector(frame, object, access, blocks, 1, b) ? blame(frame, argument) : 0;
}

int same_layout(const Frame *frame, const Buffer *send, const Buffer *receive)
{
    int same = send->items ? send->items == receive->items && send->item == receive->item : send->count == receive->count && send->type == receive->type;
    if (send->addr == MPI_IN_PLACE || same) return 0;
    PyErr_Format(PyExc_ValueError, "%s(%s): sendbuf and recvbuf differ: %lld and %lld items, or their datatypes", frame->signature->name,
                 frame->signature->text, (long long)send->count, (long long)receive->count);
    return -1;
}
