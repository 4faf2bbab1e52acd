/* Python objects as bytes and back; docs/wire-format.md has the format.
 *
 * An object is packed into a Parcel: a first message, and pieces that follow it straight from the object's memory.
 * Small builtins are values with codes of their own; arrays and what else has memory is described, its bytes are raw;
 * the rest is pickled, with large buffers out of band. */
#include "core.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { VERSION = 0xa1, PICKLED = 0x80 };        /* the first byte; a bare pickle stream begins with the latter */
enum { SEPARATE = 1, STREAM_SEPARATE = 2 };     /* flags: buffers, or also the skeleton, follow as pieces */
enum { LEAST_BUFFER = 16384 };                  /* smaller ones are worth no piece: they stay in the pickle stream */
enum { DEPTH = 8 };                             /* of tuples in tuples that have codes */

const Limits to_send = {WHOLE, ROOM, ROOM}, to_buffer_up = {SIZE_MAX, ROOM, ROOM}, to_collect = {SLOT_ROOM, SLOT_ROOM, SLOT_ROOM};

typedef struct {                                /* how every message begins that is no value */
    uint8_t version, kind, flags, unused;
    uint32_t check;                             /* of a first message that pieces follow, else 0 */
    uint32_t nbuffers, slot;                    /* slot: which of the reserved tags the pieces have */
    uint64_t skeleton;                          /* bytes; then uint64_t lengths[nbuffers], the skeleton, the buffers */
} Front;

/* --- values: small builtins ------------------------------------------------------------------------------- */

typedef struct { char *at, *end; } Writer;
typedef struct { const char *at, *end; } Reader;

static int put(Writer *w, char code, const void *data, size_t bytes)
{
    if ((size_t)(w->end - w->at) < bytes + 1) return 0;
    *w->at++ = code;
    memcpy(w->at, data, bytes);
    w->at += bytes;
    return 1;
}

static int put_text(Writer *w, char code, const char *data, Py_ssize_t bytes)
{
    uint32_t length = (uint32_t)bytes;
    if (bytes < 0 || (size_t)(w->end - w->at) < sizeof length + (size_t)bytes + 1 || !put(w, code, &length, sizeof length)) return 0;
    memcpy(w->at, data, (size_t)bytes);
    w->at += bytes;
    return 1;
}

/* 1 if the object has a code and there is room for it, else 0; never an error */
static int put_scalar(Writer *w, PyObject *o, int depth)
{
    PyTypeObject *type = Py_TYPE(o);
    if (o == Py_None) return put(w, 'N', "", 0);
    if (type == &PyLong_Type) {
        int overflow;
        long long number = PyLong_AsLongLongAndOverflow(o, &overflow);
        return !overflow && put(w, 'i', &number, sizeof number);
    }
    if (type == &PyFloat_Type) {
        double number = PyFloat_AsDouble(o);
        return put(w, 'f', &number, sizeof number);
    }
    if (type == &PyUnicode_Type) {
        Py_ssize_t bytes;
        const char *text = PyUnicode_GetLength(o) > w->end - w->at ? NULL : PyUnicode_AsUTF8AndSize(o, &bytes);
        if (!text) PyErr_Clear();                       /* a lone surrogate: pickle knows how */
        return text && put_text(w, 's', text, bytes);
    }
    if (type == &PyBool_Type) return put(w, o == Py_True ? 'T' : 'F', "", 0);
    if (type == &PyBytes_Type) return put_text(w, 'b', PyBytes_AsString(o), PyBytes_Size(o));
    if (type == &PyComplex_Type) {
        double parts[2] = {PyComplex_RealAsDouble(o), PyComplex_ImagAsDouble(o)};
        return put(w, 'c', parts, sizeof parts);
    }
    if (type != &PyTuple_Type || depth == 0) return 0;
    uint32_t n = (uint32_t)PyTuple_Size(o);
    int good = put(w, '(', &n, sizeof n);
    for (uint32_t i = 0; good && i < n; i++) good = put_scalar(w, PyTuple_GetItem(o, i), depth - 1);
    return good;
}

/* Lists and dicts only at the top, with nothing in them that changes: so nothing can be there twice, or in itself. */
static int put_value(Writer *w, PyObject *o)
{
    if (Py_TYPE(o) == &PyList_Type) {
        uint32_t n = (uint32_t)PyList_Size(o);
        int good = put(w, '[', &n, sizeof n);
        for (uint32_t i = 0; good && i < n; i++) good = put_scalar(w, PyList_GetItem(o, i), DEPTH);
        return good;
    }
    if (Py_TYPE(o) != &PyDict_Type) return put_scalar(w, o, DEPTH);
    uint32_t n = (uint32_t)PyDict_Size(o);
    PyObject *key, *value;
    Py_ssize_t i = 0;
    int good = put(w, '{', &n, sizeof n);
    while (good && PyDict_Next(o, &i, &key, &value)) good = put_scalar(w, key, DEPTH) && put_scalar(w, value, DEPTH);
    return good;
}

static const char *get(Reader *r, size_t bytes)
{
    if ((size_t)(r->end - r->at) < bytes) { PyErr_SetString(MPIError, "no object message: it ends too early"); return NULL; }
    const char *data = r->at;
    r->at += bytes;
    return data;
}

static int get_length(Reader *r, uint32_t *length)
{
    const char *data = get(r, sizeof *length);
    if (data) memcpy(length, data, sizeof *length);
    return data ? 0 : -1;
}

static PyObject *get_value(Reader *, int depth);

static PyObject *get_items(Reader *r, char code, int depth)
{
    uint32_t n;
    if (get_length(r, &n)) return NULL;
    if (n > (size_t)(r->end - r->at)) { PyErr_SetString(MPIError, "no object message: more items than bytes"); return NULL; }
    PyObject *items = code == '(' ? PyTuple_New(n) : PyList_New(n);
    for (uint32_t i = 0; items && i < n; i++) {
        PyObject *item = get_value(r, depth - 1);
        if (!item || (code == '(' ? PyTuple_SetItem(items, i, item) : PyList_SetItem(items, i, item))) Py_CLEAR(items);
    }
    return items;
}

/* Messages have the same keys over and over: short ones are kept, with their hashes. */
enum { KEYS = 256, KEY_WORDS = 3 };
typedef struct { PyObject *key; uint64_t length, words[KEY_WORDS]; } Key;
static Key keys[KEYS];

static PyObject *get_key(Reader *r, int depth)
{
    Key new = {NULL, 0, {0}};
    uint32_t length = 0;
    if (r->end - r->at > (ptrdiff_t)sizeof length && *r->at == 's') memcpy(&length, r->at + 1, sizeof length);
    if (!length || length > sizeof new.words || r->end - r->at < (ptrdiff_t)(1 + sizeof length + length)) return get_value(r, depth);
    memcpy(new.words, r->at + 1 + sizeof length, length);
    uint64_t hash = new.length = length;
    for (int i = 0; i < KEY_WORDS; i++) hash = (hash ^ new.words[i]) * UINT64_C(0x9e3779b97f4a7c15);
    Key *kept = &keys[hash >> 56];
    if (kept->key && memcmp(&kept->length, &new.length, sizeof new - offsetof(Key, length)) == 0) {
        r->at += 1 + sizeof length + length;
        return Py_NewRef(kept->key);
    }
    if (!(new.key = get_value(r, depth))) return NULL;
    Py_XDECREF(kept->key);
    *kept = new;
    return Py_NewRef(new.key);
}

static PyObject *get_dict(Reader *r, int depth)
{
    uint32_t n;
    PyObject *dict = get_length(r, &n) ? NULL : PyDict_New();
    for (uint32_t i = 0; dict && i < n; i++) {
        PyObject *key = get_key(r, depth - 1), *value = key ? get_value(r, depth - 1) : NULL;
        if (!value || PyDict_SetItem(dict, key, value)) Py_CLEAR(dict);
        Py_XDECREF(key);
        Py_XDECREF(value);
    }
    return dict;
}

static PyObject *get_value(Reader *r, int depth)
{
    uint32_t length;
    double parts[2];
    long long number;
    const char *data = get(r, 1);
    if (!data) return NULL;
    switch (*data) {
    case 'N': return Py_NewRef(Py_None);
    case 'T': return Py_NewRef(Py_True);
    case 'F': return Py_NewRef(Py_False);
    case 'i':
        if (!(data = get(r, sizeof number))) return NULL;
        memcpy(&number, data, sizeof number);
        return PyLong_FromLongLong(number);
    case 'f':
        if (!(data = get(r, sizeof *parts))) return NULL;
        memcpy(parts, data, sizeof *parts);
        return PyFloat_FromDouble(*parts);
    case 'c':
        if (!(data = get(r, sizeof parts))) return NULL;
        memcpy(parts, data, sizeof parts);
        return PyComplex_FromDoubles(parts[0], parts[1]);
    case 's': return get_length(r, &length) || !(data = get(r, length)) ? NULL : PyUnicode_DecodeUTF8(data, length, NULL);
    case 'b': return get_length(r, &length) || !(data = get(r, length)) ? NULL : PyBytes_FromStringAndSize(data, length);
    case '(': case '[': if (depth > 0) return get_items(r, *data, depth); break;
    case '{': if (depth > 0) return get_dict(r, depth); break;
    default: break;
    }
    PyErr_SetString(MPIError, "no object message: unknown code");
    return NULL;
}

/* --- memory that received objects live in ----------------------------------------------------------------- */

typedef struct {
    PyObject_HEAD
    void *addr;
    Py_ssize_t bytes, itemsize;
    int ndim;
    char *format;                       /* of items, in C order; NULL: plain bytes */
    Py_ssize_t sides[];                 /* shape, then strides */
} Block;
static PyTypeObject *BlockType;

enum { HUGE_PAGE = 1 << 21 };
/* Fresh memory of these sizes comes from the system, page by page, which takes several times as long as to receive into
 * it. So a little of what was let go is kept for the next. */
#if defined(__SANITIZE_ADDRESS__)       /* which wants to see every free */
enum { MOST_KEPT = 0 };
#else
enum { MOST_KEPT = 1 << 24 };
#endif
enum { LEAST_KEPT = 1 << 17, ALL_KEPT = 1 << 25, KEPT = 16 };
static struct { void *addr; size_t bytes; } kept[KEPT];                 /* the oldest first */
static int nkept;
static size_t all_kept;
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;

static void *remove_kept(int i)
{
    void *addr = kept[i].addr;
    all_kept -= kept[i].bytes;
    memmove(&kept[i], &kept[i + 1], (size_t)(--nkept - i) * sizeof *kept);
    return addr;
}

static char *take_kept(size_t bytes)
{
    void *addr = NULL;
    if (bytes < LEAST_KEPT || bytes > MOST_KEPT) return NULL;
    pthread_mutex_lock(&kept_lock);
    for (int i = nkept - 1; i >= 0 && !addr; i--)
        if (kept[i].bytes >= bytes && kept[i].bytes - bytes <= bytes / 4) addr = remove_kept(i);
    pthread_mutex_unlock(&kept_lock);
    return addr;
}

void give_memory(void *addr, size_t bytes)
{
    if (!addr || bytes < LEAST_KEPT || bytes > MOST_KEPT) { free(addr); return; }
    pthread_mutex_lock(&kept_lock);
    while (nkept == KEPT || all_kept + bytes > ALL_KEPT) free(remove_kept(0));
    kept[nkept].addr = addr;
    kept[nkept++].bytes = bytes;
    all_kept += bytes;
    pthread_mutex_unlock(&kept_lock);
}

char *get_memory(size_t bytes)
{
    char *addr = take_kept(bytes);
    if (addr) return addr;
    addr = malloc(bytes ? bytes : 1);
    uintptr_t first = ((uintptr_t)addr + 4095) & ~(uintptr_t)4095, last = ((uintptr_t)addr + bytes) & ~(uintptr_t)4095;
    if (addr && bytes >= 2 * HUGE_PAGE) (void)madvise((void *)first, last - first, MADV_HUGEPAGE);    /* a hint: fewer page faults */
    return addr;
}

static Block *new_block(Part *part, int ndim)           /* takes the memory over */
{
    Block *block = (Block *)PyType_GenericAlloc(BlockType, 2 * ndim);
    if (!block) return NULL;
    block->addr = part->addr;
    block->bytes = (Py_ssize_t)part->bytes;
    block->ndim = ndim;
    part->addr = NULL;
    return block;
}

static int block_buffer(PyObject *self, Py_buffer *view, int flags)
{
    Block *b = (Block *)self;
    if (!b->format) return PyBuffer_FillInfo(view, self, b->addr, b->bytes, 0, flags);
    if (b->ndim > 1 && (flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS) {
        view->obj = NULL;
        PyErr_SetString(PyExc_BufferError, "this memory is in C order");
        return -1;
    }
    *view = (Py_buffer){.buf = b->addr, .obj = Py_NewRef(self), .len = b->bytes, .itemsize = b->itemsize, .ndim = b->ndim};
    if (flags & PyBUF_FORMAT) view->format = b->format;
    if (flags & PyBUF_ND) view->shape = b->sides;
    if ((flags & PyBUF_STRIDES) == PyBUF_STRIDES) view->strides = b->sides + b->ndim;
    return 0;
}

static void block_dealloc(PyObject *self)
{
    give_memory(((Block *)self)->addr, (size_t)((Block *)self)->bytes);
    free(((Block *)self)->format);
    free_object(self);
}

static PyType_Slot block_slots[] = {
    SLOT(Py_tp_dealloc, block_dealloc), SLOT(Py_bf_getbuffer, block_buffer), {Py_tp_doc, "Memory that a message came in."}, {0, NULL}};
static PyType_Spec block_spec = {"mmpi.MPI._Block", sizeof(Block), sizeof(Py_ssize_t), Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, block_slots};

/* --- what describes an object that is no value ------------------------------------------------------------ */

enum { FEW_BUFFERS = 24, MANY_BUFFERS = 500 };          /* whose lengths fit a slot of a collective, or a first message */

typedef struct {
    char kind;
    char *skeleton;
    size_t bytes;
    Piece *buffers;
    int nbuffers;
} Description;

static int describe_buffer(Frame *frame, Description *d, const void *addr, Py_ssize_t bytes)
{
    if (!(d->buffers = frame_memory(frame, 1, sizeof *d->buffers))) return -1;
    d->buffers[0] = (Piece){addr, bytes};
    d->nbuffers = 1;
    return 0;
}

static int describe_skeleton(Frame *frame, Description *d, char kind, size_t bytes)
{
    d->kind = kind;
    d->bytes = bytes;
    return (d->skeleton = frame_memory(frame, 1, bytes)) ? 0 : -1;
}

/* --- arrays of NumPy -------------------------------------------------------------------------------------- */

typedef struct {                        /* then int64_t shape[ndim], then the pickled dtype */
    uint8_t type_num, order, ndim, unused;
    uint32_t dtype;                     /* bytes; 0: type_num says all */
} ArrayInfo;
enum { OTHER_TYPE = 255, MOST_DIMENSIONS = 64 };
static const char type_chars[] = "?bBhHiIlLqQfdgFDG\0\0\0\0\0\0e";          /* by type_num */
static const uint8_t type_sizes[] = {
    1, 1, 1, sizeof(short), sizeof(short), sizeof(int), sizeof(int), sizeof(long), sizeof(long), sizeof(long long), sizeof(long long),
    4, 8, sizeof(long double), 8, 16, 2 * sizeof(long double), 0, 0, 0, 0, 0, 0, 2};
static PyObject *numpy_empty, *numpy_array, *numpy_dtype, *dtypes[sizeof type_sizes], *order_names[2], *pickle_dumps, *pickle_loads;

static PyObject *attribute(const char *module, const char *name)
{
    PyObject *from = PyImport_ImportModule(module), *value = from ? PyObject_GetAttrString(from, name) : NULL;
    Py_XDECREF(from);
    return value;
}

static int open_numpy(void)
{
    if (numpy_dtype) return 0;
    if (!numpy_empty) numpy_empty = attribute("numpy", "empty");
    if (numpy_empty && !numpy_array) numpy_array = attribute("numpy", "ndarray");
    if (numpy_array && !order_names[0]) order_names[0] = PyUnicode_FromString("C");
    if (order_names[0] && !order_names[1]) order_names[1] = PyUnicode_FromString("F");
    if (order_names[1]) numpy_dtype = attribute("numpy", "dtype");
    return numpy_dtype ? 0 : -1;
}

static PyObject *known_dtype(int type_num)              /* borrowed; NumPy has one object of each */
{
    if (!dtypes[type_num] && !open_numpy()) dtypes[type_num] = PyObject_CallFunction(numpy_dtype, "C", type_chars[type_num]);
    return dtypes[type_num];
}

/* does type_num say all there is to know? Not of what carries metadata, or has the other byte order. */
static int knows(const Descr *d)
{
    if (d->type_num < 0 || d->type_num >= (int)sizeof type_sizes || !type_sizes[d->type_num] || d->order == '>') return 0;
    if ((const PyObject *)d == known_dtype(d->type_num)) return 1;
    PyObject *metadata = PyObject_GetAttrString((PyObject *)(uintptr_t)d, "metadata");
    Py_XDECREF(metadata);
    return metadata == Py_None;
}

/* a dtype without objects: structured, dates, strings, the other byte order; its pickle, or NULL with or without an error */
static PyObject *pickled_dtype(PyObject *array)
{
    PyObject *dtype = PyObject_GetAttrString(array, "dtype"), *text = NULL;
    PyObject *objects = dtype ? PyObject_GetAttrString(dtype, "hasobject") : NULL;
    if (objects == Py_False) text = PyObject_CallFunctionObjArgs(pickle_dumps, dtype, NULL);
    Py_XDECREF(dtype);
    Py_XDECREF(objects);
    return text;
}

static int attribute_size(PyObject *object, const char *name, Py_ssize_t *size)
{
    PyObject *number = PyObject_GetAttrString(object, name);
    *size = number ? PyLong_AsSsize_t(number) : -1;
    Py_XDECREF(number);
    return *size < 0 ? -1 : 0;
}

/* 1 described, 0 not for us, -1 error; a strided array becomes a copy in C order, which the frame holds */
static int describe_array(Frame *frame, PyObject *object, Description *d)
{
    const Array *a = (const Array *)object;
    const Descr *type = (const Descr *)a->descr;
    enum { OBJECT = 17, HALF = 23 };
    int known = knows(type);
    if (!known && (type->type_num == OBJECT || type->type_num < 0 || type->type_num > HALF)) return PyErr_Occurred() ? -1 : 0;
    PyObject *dtype = known ? NULL : pickled_dtype(object);
    if (!known && !dtype) return PyErr_Occurred() ? -1 : 0;
    if (dtype) { frame_hold(frame, dtype); Py_DECREF(dtype); }
    if (!(a->flags & ONE_SEGMENT)) {
        if (!(object = PyObject_CallMethod(object, "copy", "s", "C"))) return -1;
        a = (const Array *)object;
    } else
        Py_INCREF(object);
    frame_hold(frame, object);
    Py_DECREF(object);
    size_t dtype_bytes = dtype ? (size_t)PyBytes_Size(dtype) : 0, shape_bytes = (size_t)a->nd * sizeof(int64_t);
    if (describe_skeleton(frame, d, 'A', sizeof(ArrayInfo) + shape_bytes + dtype_bytes)) return -1;
    ArrayInfo info = {(uint8_t)(known ? type->type_num : OTHER_TYPE), a->flags & 1 ? 'C' : 'F', (uint8_t)a->nd, 0, (uint32_t)dtype_bytes};
    memcpy(d->skeleton, &info, sizeof info);
    Py_ssize_t bytes = known ? type_sizes[type->type_num] : 0;
    for (int i = 0; i < a->nd; i++) {
        int64_t n = a->shape[i];
        memcpy(d->skeleton + sizeof info + (size_t)i * sizeof n, &n, sizeof n);
        bytes *= a->shape[i];
    }
    if (dtype) memcpy(d->skeleton + sizeof info + shape_bytes, PyBytes_AsString(dtype), dtype_bytes);
    if (!known && attribute_size(object, "nbytes", &bytes)) return -1;
    return describe_buffer(frame, d, a->data, bytes) ? -1 : 1;
}

static PyObject *shape_of(const char *at, int ndim, Py_ssize_t itemsize, Py_ssize_t *bytes)
{
    PyObject *shape = PyTuple_New(ndim);
    *bytes = itemsize;
    for (int i = 0; shape && i < ndim; i++) {
        int64_t n;
        memcpy(&n, at + (size_t)i * sizeof n, sizeof n);
        if (n < 0 || __builtin_mul_overflow(*bytes, (Py_ssize_t)n, bytes)) { PyErr_SetString(MPIError, "no object message: impossible shape"); Py_CLEAR(shape); break; }
        PyObject *number = PyLong_FromLongLong(n);
        if (!number || PyTuple_SetItem(shape, i, number)) Py_CLEAR(shape);
    }
    return shape;
}

/* the bytes where the array is to have them: what came in memory of its own stays there */
static PyObject *array_of(PyObject *shape, PyObject *dtype, int fortran, Part *part)
{
    if (!part->addr) {
        PyObject *array = PyObject_CallFunctionObjArgs(numpy_empty, shape, dtype, order_names[fortran], NULL);
        if (array && part->bytes) memcpy(((Array *)array)->data, part->data, (size_t)part->bytes);
        return array;
    }
    PyObject *block = (PyObject *)new_block(part, 0), *zero = block ? PyLong_FromLong(0) : NULL;
    PyObject *array = zero ? PyObject_CallFunctionObjArgs(numpy_array, shape, dtype, block, zero, Py_None, order_names[fortran], NULL) : NULL;
    Py_XDECREF(block);
    Py_XDECREF(zero);
    return array;
}

static PyObject *get_array(const char *skeleton, size_t bytes, Part *part)
{
    ArrayInfo info;
    Py_ssize_t itemsize = 0, need;
    if (bytes >= sizeof info) memcpy(&info, skeleton, sizeof info);
    size_t shape_bytes = bytes >= sizeof info ? (size_t)info.ndim * sizeof(int64_t) : 0;
    if (bytes < sizeof info || info.ndim > MOST_DIMENSIONS || bytes != sizeof info + shape_bytes + info.dtype || (info.order != 'C' && info.order != 'F') ||
        (info.dtype == 0 && (info.type_num >= sizeof type_sizes || !type_sizes[info.type_num]))) {
        PyErr_SetString(MPIError, "no object message: impossible array");
        return NULL;
    }
    if (open_numpy()) return NULL;
    PyObject *view = info.dtype ? PyBytes_FromStringAndSize(skeleton + sizeof info + shape_bytes, info.dtype) : NULL;
    PyObject *dtype = info.dtype ? view ? PyObject_CallFunctionObjArgs(pickle_loads, view, NULL) : NULL : Py_XNewRef(known_dtype(info.type_num));
    Py_XDECREF(view);
    if (dtype && info.dtype && !PyObject_TypeCheck(dtype, (PyTypeObject *)numpy_dtype)) { PyErr_SetString(MPIError, "no object message: no dtype"); Py_CLEAR(dtype); }
    PyObject *objects = dtype && info.dtype ? PyObject_GetAttrString(dtype, "hasobject") : NULL, *array = NULL;
    if (dtype && info.dtype && objects != Py_False) { if (!PyErr_Occurred()) PyErr_SetString(MPIError, "no object message: impossible dtype"); Py_CLEAR(dtype); }
    Py_XDECREF(objects);
    if (dtype && !(info.dtype ? attribute_size(dtype, "itemsize", &itemsize) : (itemsize = type_sizes[info.type_num], 0))) {
        PyObject *shape = shape_of(skeleton + sizeof info, info.ndim, itemsize, &need);
        if (shape && need != part->bytes) PyErr_Format(MPIError, "no object message: an array of %zd bytes in %lld", need, (long long)part->bytes);
        else if (shape) array = array_of(shape, dtype, info.order == 'F', part);
        Py_XDECREF(shape);
    }
    Py_XDECREF(dtype);
    return array;
}

/* --- bytes, bytearray, str, array.array, memoryview ------------------------------------------------------- */

static int describe_items(Frame *frame, Description *d, char kind, const Py_buffer *view, const char *format)
{
    size_t text = strlen(format) + 1;
    if (describe_skeleton(frame, d, kind, 1 + (size_t)(view->ndim + 1) * sizeof(int64_t) + text)) return -1;
    char *at = d->skeleton;
    *at++ = (char)view->ndim;
    for (int i = -1; i < view->ndim; i++, at += sizeof(int64_t)) {
        int64_t n = i < 0 ? view->itemsize : view->shape ? view->shape[i] : view->len / view->itemsize;
        memcpy(at, &n, sizeof n);
    }
    memcpy(at, format, text);
    return 0;
}

/* size of items, shape, format; a memoryview that is not contiguous becomes a copy */
static int describe_view(Frame *frame, PyObject *object, Description *d, char kind)
{
    Py_buffer *view = take_view(frame, object, PyBUF_FULL_RO);
    if (!view) return -1;
    if (view->suboffsets || !view->format || strlen(view->format) > 64 || view->ndim > MOST_DIMENSIONS || !PyBuffer_IsContiguous(view, 'C')) {
        PyObject *copy = PyObject_CallMethod(object, "tobytes", NULL);
        if (!copy) return -1;
        frame_hold(frame, copy);
        Py_DECREF(copy);
        if (describe_buffer(frame, d, PyBytes_AsString(copy), PyBytes_Size(copy))) return -1;
    } else if (describe_buffer(frame, d, view->buf, view->len))
        return -1;
    PyObject *code = kind == 'a' ? PyObject_GetAttrString(object, "typecode") : NULL, *ascii = code ? PyUnicode_AsASCIIString(code) : NULL;
    int bad = kind == 'a' && !ascii ? -1 : describe_items(frame, d, kind, view, ascii ? PyBytes_AsString(ascii) : view->format);
    Py_XDECREF(ascii);
    Py_XDECREF(code);
    return bad ? -1 : 1;
}

static int describe_memory(Frame *frame, PyObject *object, Description *d)
{
    PyTypeObject *type = Py_TYPE(object);
    Py_ssize_t bytes;
    if (type == &PyUnicode_Type) {
        const char *text = PyUnicode_AsUTF8AndSize(object, &bytes);
        if (!text) { PyErr_Clear(); return 0; }
        frame_hold(frame, object);
        return describe_skeleton(frame, d, 'U', 0) || describe_buffer(frame, d, text, bytes) ? -1 : 1;
    }
    if (type == &PyBytes_Type) {
        frame_hold(frame, object);
        return describe_skeleton(frame, d, 'B', 0) || describe_buffer(frame, d, PyBytes_AsString(object), PyBytes_Size(object)) ? -1 : 1;
    }
    if (type == &PyByteArray_Type) {
        const Py_buffer *view = take_view(frame, object, PyBUF_SIMPLE);
        return !view || describe_skeleton(frame, d, 'W', 0) || describe_buffer(frame, d, view->buf, view->len) ? -1 : 1;
    }
    if (type == &PyMemoryView_Type) return describe_view(frame, object, d, 'V');
    return is_array_array(object) ? describe_view(frame, object, d, 'a') : 0;
}

/* the part as an object that owns its memory and can be written */
static Block *block_of(Part *part, int ndim)
{
    if (part->addr) return new_block(part, ndim);
    Part copy = {.addr = get_memory((size_t)part->bytes), .bytes = part->bytes};
    if (!copy.addr) { PyErr_NoMemory(); return NULL; }
    if (part->bytes) memcpy(copy.addr, part->data, (size_t)part->bytes);
    Block *block = new_block(&copy, ndim);
    if (!block) free(copy.addr);
    return block;
}

/* shape and strides of a block whose skeleton is checked here; -1 with an error */
static int shape_block(Block *block, const char *sides, const char *format)
{
    int64_t n;
    Py_ssize_t bytes;
    memcpy(&n, sides, sizeof n);
    bytes = block->itemsize = (Py_ssize_t)n;
    for (int i = block->ndim - 1; i >= 0 && bytes >= 0; i--) {
        memcpy(&n, sides + (size_t)(i + 1) * sizeof n, sizeof n);
        block->sides[i] = (Py_ssize_t)n;
        block->sides[block->ndim + i] = bytes;
        if (n < 0 || __builtin_mul_overflow(bytes, (Py_ssize_t)n, &bytes)) bytes = -1;
    }
    if (bytes != block->bytes || block->itemsize <= 0) { PyErr_SetString(MPIError, "no object message: impossible shape"); return -1; }
    if (!(block->format = malloc(strlen(format) + 1))) { PyErr_NoMemory(); return -1; }
    strcpy(block->format, format);
    return 0;
}

static PyObject *get_array_array(PyObject *bytes, const char *typecode)
{
    PyObject *type = attribute("array", "array"), *array = type ? PyObject_CallFunction(type, "s", typecode) : NULL;
    PyObject *done = array ? PyObject_CallMethod(array, "frombytes", "O", bytes) : NULL;
    if (!done) Py_CLEAR(array);
    Py_XDECREF(done);
    Py_XDECREF(type);
    return array;
}

static PyObject *get_view(char kind, const char *skeleton, size_t bytes, Part *part)
{
    int ndim = bytes ? (unsigned char)skeleton[0] : 0;
    size_t sides = (size_t)(ndim + 1) * sizeof(int64_t);
    if (bytes < 2 + sides || ndim > MOST_DIMENSIONS || skeleton[bytes - 1]) { PyErr_SetString(MPIError, "no object message: impossible memory"); return NULL; }
    const char *format = skeleton + 1 + sides;
    Block *block = block_of(part, kind == 'V' ? ndim : 0);
    PyObject *result = !block || (kind == 'V' && shape_block(block, skeleton + 1, format)) ? NULL
                     : kind == 'V' ? PyMemoryView_FromObject((PyObject *)block) : get_array_array((PyObject *)block, format);
    Py_XDECREF((PyObject *)block);
    return result;
}

/* --- everything else: pickle ------------------------------------------------------------------------------ */

static PyObject *pickler;               /* MPI.pickle: see mmpi/pickling.py for what is read of it */
static PyObject *name_dumps, *name_loads, *name_protocol, *name_out_of_band, *only_buffers, *only_callback;

/* buffer_callback(PickleBuffer): false keeps a buffer out of the stream; taken says which were */
static PyObject *take_buffer(PyObject *taken, PyObject *buffer)
{
    PyObject *raw = PyObject_CallMethod(buffer, "raw", NULL);
    if (!raw) return NULL;
    Py_ssize_t bytes = PyObject_Size(raw), most = PyLong_AsSsize_t(PyList_GetItem(taken, 0));
    int stays = bytes < LEAST_BUFFER || PyList_Size(taken) > most;
    int bad = bytes < 0 || (!stays && PyList_Append(taken, raw));
    Py_DECREF(raw);
    return bad ? NULL : PyBool_FromLong(stays);
}
static PyMethodDef take_buffer_row = {"take_buffer", take_buffer, METH_O, NULL};

static PyObject *dump(PyObject *with, PyObject *object, PyObject *taken)
{
    PyObject *dumps = PyObject_GetAttr(with, name_dumps), *protocol = dumps ? PyObject_GetAttr(with, name_protocol) : NULL, *stream = NULL;
    PyObject *arguments = !protocol ? NULL : protocol == Py_None ? PyTuple_Pack(1, object) : PyTuple_Pack(2, object, protocol), *options = NULL;
    PyObject *callback = arguments && taken ? PyCFunction_New(&take_buffer_row, taken) : NULL;
    if (callback && (options = PyDict_New()) && PyDict_SetItem(options, only_callback, callback)) Py_CLEAR(options);
    if (arguments && (!taken || options)) stream = PyObject_Call(dumps, arguments, options);
    Py_XDECREF(callback);
    Py_XDECREF(options);
    Py_XDECREF(arguments);
    Py_XDECREF(protocol);
    Py_XDECREF(dumps);
    return stream;
}

/* where the buffers that were taken lie: memoryviews, which the list keeps */
static int describe_taken(Frame *frame, PyObject *taken, Description *d)
{
    d->nbuffers = (int)PyList_Size(taken) - 1;
    if (d->nbuffers <= 0) return 0;
    frame_hold(frame, taken);
    if (!(d->buffers = frame_memory(frame, (size_t)d->nbuffers, sizeof *d->buffers))) return -1;
    for (int i = 0; i < d->nbuffers; i++) {
        Py_buffer view;
        if (PyObject_GetBuffer(PyList_GetItem(taken, i + 1), &view, PyBUF_SIMPLE)) return -1;
        d->buffers[i] = (Piece){view.buf, view.len};
        PyBuffer_Release(&view);                        /* the memoryview goes on exporting */
    }
    return 0;
}

static int pickled(Frame *frame, PyObject *with, PyObject *object, int most, Description *d)
{
    int flag = -1;
    PyObject *out_of_band = PyObject_GetAttr(with, name_out_of_band), *taken = NULL;
    if (!out_of_band || (flag = PyObject_IsTrue(out_of_band)) < 0) { Py_XDECREF(out_of_band); return -1; }
    Py_DECREF(out_of_band);
    if (flag && !(taken = Py_BuildValue("[i]", most))) return -1;
    PyObject *stream = dump(with, object, taken);
    Py_buffer *view = stream ? take_view(frame, stream, PyBUF_SIMPLE) : NULL;
    int bad = !view || (taken && describe_taken(frame, taken, d));
    Py_XDECREF(stream);                                 /* the view holds it */
    Py_XDECREF(taken);
    d->kind = 'P';
    if (view) { d->skeleton = view->buf; d->bytes = (size_t)view->len; }
    return bad ? -1 : 0;
}

/* A stream that does not outlive the call goes to Python's own loads in place; any other may keep what it gets. */
static PyObject *unpickled(PyObject *with, const char *stream, size_t bytes, Part *parts, int n)
{
    PyObject *loads = PyObject_GetAttr(with, name_loads), *options = NULL, *result = NULL;
    PyObject *text = !loads ? NULL : loads == pickle_loads ? PyMemoryView_FromMemory((char *)(uintptr_t)stream, (Py_ssize_t)bytes, PyBUF_READ)
                                                           : PyBytes_FromStringAndSize(stream, (Py_ssize_t)bytes);
    PyObject *arguments = text ? PyTuple_Pack(1, text) : NULL, *buffers = arguments && n ? PyList_New(n) : NULL;
    for (int i = 0; buffers && i < n; i++) {
        PyObject *block = (PyObject *)block_of(&parts[i], 0);
        if (!block || PyList_SetItem(buffers, i, block)) Py_CLEAR(buffers);
    }
    if (buffers && (options = PyDict_New()) && PyDict_SetItem(options, only_buffers, buffers)) Py_CLEAR(options);
    if (arguments && (!n || options)) result = PyObject_Call(loads, arguments, options);
    Py_XDECREF(options);
    Py_XDECREF(buffers);
    Py_XDECREF(arguments);
    Py_XDECREF(text);
    Py_XDECREF(loads);
    return result;
}

static PyObject *get_pickle(PyObject *with, const char *stream, size_t bytes, Part *parts, int n)
{
    uint64_t began = recorder ? recorder->ticks() : 0, call = last_record();
    MPI_Count all = (MPI_Count)bytes;
    for (int i = 0; began && i < n; i++) all += parts[i].bytes;
    PyObject *object = unpickled(with, stream, bytes, parts, n);
    if (recorder && began) recorder->unpacked(call, began, all);
    return object;
}

/* --- parcels ---------------------------------------------------------------------------------------------- */

static uint32_t checksum(const char *message, size_t bytes)             /* FNV-1a of all but the field itself */
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < bytes; i++)
        if (i < offsetof(Front, check) || i >= offsetof(Front, nbuffers)) hash = (hash ^ (unsigned char)message[i]) * 16777619u;
    return hash;
}

void set_slot(Parcel *p, int slot)
{
    Front front;
    memcpy(&front, p->head, sizeof front);
    front.slot = (uint32_t)slot;
    memcpy(p->head, &front, sizeof front);
    front.check = checksum(p->head, p->bytes);
    memcpy(p->head, &front, sizeof front);
}

/* the front, the lengths, and as much of the rest as belongs into the first message */
static int assemble(Frame *frame, const Description *d, const Limits *limits, char *room, Parcel *p)
{
    size_t lengths = (size_t)d->nbuffers * sizeof(uint64_t), head = sizeof(Front) + lengths + d->bytes, whole = head;
    for (int i = 0; i < d->nbuffers; i++) whole += (size_t)d->buffers[i].bytes;
    int flags = whole <= limits->whole ? 0 : d->nbuffers && head <= limits->head ? SEPARATE : SEPARATE | STREAM_SEPARATE;
    p->bytes = !flags ? whole : flags == SEPARATE ? head : sizeof(Front) + lengths;
    p->total = (MPI_Count)whole;
    p->head = p->bytes <= limits->room ? room : frame_memory(frame, 1, p->bytes);
    if (!p->head) return -1;
    Front front = {VERSION, (uint8_t)d->kind, (uint8_t)flags, 0, 0, (uint32_t)d->nbuffers, 0, d->bytes};
    char *at = (char *)memcpy(p->head, &front, sizeof front) + sizeof front;
    for (int i = 0; i < d->nbuffers; i++, at += sizeof(uint64_t)) {
        uint64_t length = (uint64_t)d->buffers[i].bytes;
        memcpy(at, &length, sizeof length);
    }
    if (!(flags & STREAM_SEPARATE) && d->bytes) memcpy(at, d->skeleton, d->bytes);
    at += d->bytes;
    for (int i = 0; !flags && i < d->nbuffers; at += d->buffers[i++].bytes)
        if (d->buffers[i].bytes) memcpy(at, d->buffers[i].addr, (size_t)d->buffers[i].bytes);
    if (!flags) { release_objects(frame); return 0; }
    int stream = flags & STREAM_SEPARATE ? 1 : 0;
    p->npieces = stream + d->nbuffers;
    if (!(p->pieces = frame_memory(frame, (size_t)p->npieces, sizeof *p->pieces))) return -1;
    if (stream) p->pieces[0] = (Piece){d->skeleton, (MPI_Count)d->bytes};
    for (int i = 0; i < d->nbuffers; i++) p->pieces[stream + i] = d->buffers[i];
    set_slot(p, 0);
    return 0;
}

/* the same, and a tracer learns how long it took */
static int describe_pickle(Frame *frame, PyObject *with, PyObject *object, int most, Description *d)
{
    uint64_t began = recorder ? recorder->ticks() : 0;
    int bad = pickled(frame, with, object, most, d);
    MPI_Count bytes = (MPI_Count)d->bytes;
    for (int i = 0; recorder && !bad && i < d->nbuffers; i++) bytes += d->buffers[i].bytes;
    if (recorder && !bad && began) recorder->packed(began, bytes);
    return bad;
}

static PyObject *serializer(PyObject *own) { return own && own != Py_None ? own : pickler; }

int pack(Frame *frame, PyObject *own, PyObject *object, const Limits *limits, char *room, Parcel *p)
{
    *p = (Parcel){.head = room};
    Writer w = {room + 1, room + limits->room};
    *room = (char)VERSION;
    if (put_value(&w, object)) {
        p->bytes = (size_t)(w.at - room);
        p->total = (MPI_Count)p->bytes;
        return 0;
    }
    Description d = {0, NULL, 0, NULL, 0};
    int known = is_array(object) ? describe_array(frame, object, &d) : describe_memory(frame, object, &d);
    if (known < 0 || (!known && describe_pickle(frame, serializer(own), object, limits->head > SLOT_ROOM ? MANY_BUFFERS : FEW_BUFFERS, &d))) return -1;
    return assemble(frame, &d, limits, room, p);
}

/* The pieces that follow this first message: how many, and from *lengths on how long; -1: not one of ours.
 * Needs neither the GIL nor trust. */
int pieces_of(const char *message, size_t bytes, MPI_Count **lengths, int *slot)
{
    Front front;
    *lengths = NULL;
    if (bytes < sizeof front || (unsigned char)*message != VERSION || !memchr("ABUWVaP", message[1], 7)) return 0;
    memcpy(&front, message, sizeof front);
    if (!(front.flags & SEPARATE)) return 0;
    if (front.nbuffers > MANY_BUFFERS || front.check != checksum(message, bytes)) return -1;
    int stream = front.flags & STREAM_SEPARATE ? 1 : 0, n = stream + (int)front.nbuffers;
    size_t head = sizeof front + front.nbuffers * sizeof(uint64_t);
    if (bytes < head || front.skeleton > INT64_MAX / 4 || bytes != head + (stream ? 0 : front.skeleton)) return -1;
    if (!(*lengths = malloc((size_t)(n + 1) * sizeof **lengths))) return -1;
    if (stream) (*lengths)[0] = (MPI_Count)front.skeleton;
    uint64_t length, total = 0;
    for (int i = stream; i < n; i++, total += length) {
        memcpy(&length, message + sizeof front + (size_t)(i - stream) * sizeof length, sizeof length);
        if (length > INT64_MAX / 2 - total) { free(*lengths); *lengths = NULL; return -1; }
        (*lengths)[i] = (MPI_Count)length;
    }
    *slot = (int)front.slot;
    return n;
}

/* --- receiving into place --------------------------------------------------------------------------------- */

static int can_write(PyObject *object)
{
    Py_buffer view;
    if (is_array(object) && ((const Array *)object)->flags & WRITEABLE) return 1;
    if (PyObject_GetBuffer(object, &view, PyBUF_FULL)) return 0;
    PyBuffer_Release(&view);
    return 1;
}

/* what an equal object would be described as; of none that would be copied */
int to_place(Frame *frame, const char *argument, PyObject *object, Place *place)
{
    Description d = {0, NULL, 0, NULL, 0};
    if (!can_write(object)) {
        if (PyErr_ExceptionMatches(PyExc_TypeError)) PyErr_Clear();
        if (!PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "expected an array to receive into, or None, not %R", object);
        return blame(frame, argument);
    }
    *place = (Place){.object = object};
    frame_hold(frame, object);
    if (is_array(object) && !(((const Array *)object)->flags & ONE_SEGMENT)) return 0;
    int known = is_array(object) ? describe_array(frame, object, &d) : describe_memory(frame, object, &d);
    if (known < 0 || PyErr_Occurred()) return -1;
    if (!known || (d.kind == 'V' && d.buffers->addr != frame->views[frame->nviews - 1].buf)) return 0;
    *place = (Place){object, d.kind, d.skeleton, d.bytes, (char *)(uintptr_t)d.buffers->addr, d.buffers->bytes};
    return 0;
}

const char *fits(const Place *place, const char *message, size_t bytes)
{
    Front front;
    size_t at = sizeof front + sizeof(uint64_t);
    if (!place->addr || bytes < at || (unsigned char)*message != VERSION || message[1] != place->kind) return NULL;
    memcpy(&front, message, sizeof front);
    if (front.nbuffers != 1 || front.skeleton != place->bytes || front.flags & STREAM_SEPARATE || bytes < at + place->bytes) return NULL;
    if (!(front.flags & SEPARATE) && bytes != at + place->bytes + (size_t)place->length) return NULL;
    return memcmp(message + at, place->skeleton, place->bytes) ? NULL : message + at + place->bytes;
}

PyObject *put_in_place(PyObject *received, PyObject *place)
{
    PyObject *pickling = PyImport_ImportModule("mmpi.pickling");
    PyObject *result = pickling ? PyObject_CallMethod(pickling, "place", "OO", received, place) : NULL;
    Py_XDECREF(pickling);
    Py_DECREF(received);
    return result;
}

/* --- unpacking -------------------------------------------------------------------------------------------- */

static PyObject *no_object(const char *why)
{
    return PyErr_Format(MPIError, "no object message: %s. Was it sent by a method in upper case, or by another program?", why);
}

/* What only a broken message makes of a value, such as a list for a key, says so. */
static PyObject *sound(PyObject *object)
{
    PyObject *type, *error, *trace;
    if (object || !PyErr_Occurred() || PyErr_ExceptionMatches(MPIError) || PyErr_ExceptionMatches(PyExc_MemoryError)) return object;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_Format(MPIError, "no object message: %S", error ? error : type);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
    return NULL;
}

static PyObject *get_described(PyObject *own, char kind, const char *skeleton, size_t bytes, Part *parts, int n)
{
    if (kind == 'P') return get_pickle(serializer(own), skeleton, bytes, parts, n);
    if (n != 1) return no_object("its buffers are missing");
    switch (kind) {
    case 'A': return sound(get_array(skeleton, bytes, parts));
    case 'U': return sound(PyUnicode_DecodeUTF8(parts->data, (Py_ssize_t)parts->bytes, NULL));
    case 'B': return PyBytes_FromStringAndSize(parts->data, (Py_ssize_t)parts->bytes);
    case 'W': return PyByteArray_FromStringAndSize(parts->data, (Py_ssize_t)parts->bytes);
    default: return sound(get_view(kind, skeleton, bytes, parts));
    }
}

/* all in one message: the parts lie in it */
static PyObject *get_whole(PyObject *own, const Front *front, const char *message, size_t bytes)
{
    size_t lengths = (size_t)front->nbuffers * sizeof(uint64_t), at = sizeof *front + lengths;
    if (front->nbuffers > MANY_BUFFERS || bytes < at || front->skeleton > bytes - at) return no_object("it ends too early");
    Part *parts = calloc(front->nbuffers + 1, sizeof *parts);
    if (!parts) return PyErr_NoMemory();
    at += front->skeleton;
    PyObject *result = NULL;
    uint32_t i = 0;
    for (; i < front->nbuffers; i++) {
        uint64_t length;
        memcpy(&length, message + sizeof *front + i * sizeof length, sizeof length);
        if (length > bytes - at) break;
        parts[i] = (Part){.data = (char *)(uintptr_t)message + at, .bytes = (MPI_Count)length};
        at += length;
    }
    if (i < front->nbuffers || at != bytes) no_object("its length is wrong");
    else result = get_described(own, (char)front->kind, message + sizeof *front + lengths, front->skeleton, parts, (int)front->nbuffers);
    free(parts);
    return result;
}

PyObject *unpack(PyObject *own, const char *message, size_t bytes, Part *parts, int n)
{
    Front front;
    if (bytes == 0) Py_RETURN_NONE;
    if ((unsigned char)*message == PICKLED) return get_pickle(serializer(own), message, bytes, NULL, 0);
    if ((unsigned char)*message != VERSION || bytes < 2) return no_object("its first byte is another");
    if (!memchr("ABUWVaP", message[1], 7)) {
        Reader r = {message + 1, message + bytes};
        PyObject *value = sound(get_value(&r, DEPTH + 2));
        if (value && r.at != r.end) { Py_DECREF(value); return no_object("it is too long"); }
        return value;
    }
    if (bytes < sizeof front) return no_object("it ends too early");
    memcpy(&front, message, sizeof front);
    if (!(front.flags & SEPARATE)) return get_whole(own, &front, message, bytes);
    int stream = front.flags & STREAM_SEPARATE ? 1 : 0;
    if (!n || n != stream + (int)front.nbuffers) return no_object("its pieces are missing");
    const char *skeleton = stream ? parts->data : message + sizeof front + front.nbuffers * sizeof(uint64_t);
    return get_described(own, (char)front.kind, skeleton, front.skeleton, parts + stream, n - stream);
}

/* --- for tests, and for curious people -------------------------------------------------------------------- */

FUNCTION(_pack, "obj", "The messages that sending an object takes, as a list of bytes.")
{
    Frame frame; PyObject *object; Parcel p; char room[ROOM];
    (void)self;
    if (PARSE(&frame, to_object, &object) || pack(&frame, NULL, object, &to_send, room, &p)) return finish(&frame, RAISED);
    if (recorder) recorder->packed(0, 0);               /* no call follows */
    PyObject *list = PyList_New(1 + p.npieces);
    for (int i = 0; list && i <= p.npieces; i++) {
        PyObject *text = i ? PyBytes_FromStringAndSize(p.pieces[i - 1].addr, (Py_ssize_t)p.pieces[i - 1].bytes) : PyBytes_FromStringAndSize(p.head, (Py_ssize_t)p.bytes);
        if (!text || PyList_SetItem(list, i, text)) Py_CLEAR(list);
    }
    return finish_with(&frame, list ? 0 : RAISED, list);
}

FUNCTION(_unpack, "messages", "The object that a list of messages, as bytes, brings.")
{
    Frame frame; PyObject *list, *result = NULL; MPI_Count *lengths = NULL; int slot;
    (void)self;
    if (PARSE(&frame, to_object, &list)) return finish(&frame, RAISED);
    Py_ssize_t n = PyList_Check(list) ? PyList_Size(list) - 1 : -1;
    for (Py_ssize_t i = 0; i <= n; i++) if (!PyBytes_Check(PyList_GetItem(list, i))) n = -1;
    if (n < 0) { PyErr_SetString(PyExc_TypeError, "_unpack(messages): expected a list of bytes"); return finish(&frame, RAISED); }
    PyObject *first = PyList_GetItem(list, 0);
    Part *parts = frame_memory(&frame, (size_t)n + 1, sizeof *parts);
    int expected = pieces_of(PyBytes_AsString(first), (size_t)PyBytes_Size(first), &lengths, &slot), bad = expected != n;
    for (int i = 0; parts && !bad && i < n; i++) {
        PyObject *item = PyList_GetItem(list, i + 1);
        if (PyBytes_Size(item) != lengths[i]) bad = 1;
        else parts[i] = (Part){.data = PyBytes_AsString(item), .bytes = lengths[i]};
    }
    if (bad) no_object("its pieces are missing");
    else if (parts) result = unpack(NULL, PyBytes_AsString(first), (size_t)PyBytes_Size(first), parts, (int)n);
    free(lengths);
    return finish_with(&frame, result ? 0 : RAISED, result);
}

PyMethodDef serialize_functions[] = {ROW_(module, _pack, 0), ROW_(module, _unpack, 0), END_OF_ROWS};

int prepare_serializer(PyObject *module)
{
    BlockType = (PyTypeObject *)PyType_FromModuleAndSpec(module, &block_spec, NULL);
    pickle_dumps = attribute("_pickle", "dumps");
    pickle_loads = attribute("_pickle", "loads");
    pickler = attribute("mmpi.pickling", "pickle");
    name_dumps = PyUnicode_InternFromString("_dumps");
    name_loads = PyUnicode_InternFromString("_loads");
    name_protocol = PyUnicode_InternFromString("_protocol");
    name_out_of_band = PyUnicode_InternFromString("_out_of_band");
    only_buffers = PyUnicode_InternFromString("buffers");
    only_callback = PyUnicode_InternFromString("buffer_callback");
    if (!BlockType || !pickle_dumps || !pickle_loads || !pickler || !name_dumps || !name_loads || !name_protocol || !name_out_of_band || !only_buffers || !only_callback) return -1;
    return PyModule_AddObjectRef(module, "pickle", pickler) || PyModule_AddObjectRef(module, "Pickle", (PyObject *)Py_TYPE(pickler)) ? -1 : 0;
}
