/* Files: parallel input and output (MPI 5.0, chapter 14). */
#include "core.h"

PyTypeObject *FileType;

/* --- from open to close ----------------------------------------------------------------------------------- */

/* const char *, of str, bytes or a path; lives as long as the frame */
static int to_path(Frame *frame, PyObject *value, void *target)
{
    PyObject *bytes = NULL;
    if (!PyUnicode_FSConverter(value, &bytes)) return -1;
    frame_hold(frame, bytes);
    *(const char **)target = PyBytes_AsString(bytes);
    Py_DECREF(bytes);
    return 0;
}

static PyObject *new_file(PyTypeObject *type, MPI_File handle, const char *name, Context *parent)
{
    MPI_Errhandler handler;
    int rc = 0;
    Py_BEGIN_ALLOW_THREADS
    if (errors_of_new(&handler)) rc = MPI_File_set_errhandler(handle, handler);
    Py_END_ALLOW_THREADS
    File *self = new_handle(type, &handle);
    if (self) self->context = derived_context(parent, strrchr(name, '/') ? strrchr(name, '/') + 1 : name);
    if (self && !(self->name = PyUnicode_DecodeFSDefault(name))) Py_CLEAR(self);
    return finish_with(NULL, rc, watched(self));
}

void share_file(File *to, File *from)   /* the newer object answers for a collective under way */
{
    to->split = from->split;
    from->split = NULL;
    to->name = Py_XNewRef(from->name);
    to->context = share_context(from->context);
}

CLASSMETHOD(File, Open, "comm, filename, amode=MODE_RDONLY, info=INFO_NULL", "Open a file in all processes of a communicator; amode adds up MODE_ constants (MPI 5.0, section 14.2.1).")
{
    Frame frame; Comm *comm; const char *name; int amode = MPI_MODE_RDONLY; MPI_Info info = MPI_INFO_NULL; MPI_File new = MPI_FILE_NULL;
    int rc = PARSE(&frame, to_comm, &comm, to_path, &name, to_int, &amode, to_info, &info);
    if (!rc) CALL(rc, NOTE(ALL(comm)), MPI_File_open, comm->handle, name, amode, info, &new);
    return finish_with(&frame, rc, rc ? NULL : new_file(self, new, name, comm->context));
}

METHOD0(File, Close, "Close the file, when nothing is under way on it; all its processes must call this.")
{
    int rc;
    CALL(rc, NOTE(ALL(self)), MPI_File_close, &self->handle);
    if (rc) return finish(NULL, rc);
    free_frame(self->split);
    self->split = NULL;
    drop_context(self->context);
    self->context = NULL;
    return finish(NULL, 0);
}

CLASSMETHOD(File, Delete, "filename, info=INFO_NULL", "Delete a file.")
{
    Frame frame; const char *name; MPI_Info info = MPI_INFO_NULL;
    int rc = PARSE(&frame, to_path, &name, to_info, &info);
    (void)self;
    if (!rc) CALL(rc, NOTE(.comm = NULL), MPI_File_delete, name, info);
    return finish(&frame, rc);
}

/* --- reading and writing ---------------------------------------------------------------------------------- */

typedef struct { Buffer m; MPI_Offset offset; Status *status; } Access;
enum { ALONE, TOGETHER_ALL };           /* is it a collective? */
#define ACCESSED(together) NOTE(ON(self), MOVES(a.m), .collective = together == TOGETHER_ALL)
#define AT self->handle, a.offset, a.m.addr, a.m.count, a.m.type
#define HERE self->handle, a.m.addr, a.m.count, a.m.type

static int at(Signature *signature, Frame *frame, Access *a, int access, ARGS)
{
    PyObject *buf; MPI_Count offset;
    a->status = NULL;
    if (PARSE(frame, to_count, &offset, to_object, &buf, to_status, &a->status)) return RAISED;
    a->offset = offset;
    return to_buffer(frame, "buf", buf, access, 1, &a->m) ? RAISED : 0;
}

static int here(Signature *signature, Frame *frame, Access *a, int access, ARGS)
{
    PyObject *buf;
    a->status = NULL;
    return PARSE(frame, to_object, &buf, to_status, &a->status) || to_buffer(frame, "buf", buf, access, 1, &a->m) ? RAISED : 0;
}

#define BLOCKING(name, cname, prepare, access, together, text, doc, ...)                                  \
    METHOD(File, name, text ", status=None", doc)                                                         \
    {                                                                                                     \
        Frame frame; Access a; MPI_Status s = empty_status();                                             \
        int rc = prepare(signature, &frame, &a, access, args, nargs, kwnames);                            \
        if (!rc) CALL_C(rc, ACCESSED(together), MPI_File_##cname, __VA_ARGS__, &s);                          \
        if (!rc) set_status(a.status, &s);                                                                \
        return finish(&frame, rc);                                                                        \
    }
#define NONBLOCKING(name, cname, prepare, access, together, text, doc, ...)                               \
    METHOD(File, name, text, "Start to: " doc)                                                            \
    {                                                                                                     \
        Access a; int rc = RAISED;                                                                        \
        Request *r = new_request(new_frame());                                                            \
        if (!r || prepare(signature, r->frame, &a, access, args, nargs, kwnames)) return started(r, rc);  \
        CALL_C(rc, ACCESSED(together), MPI_File_##cname, __VA_ARGS__, &r->handle);                           \
        return started(r, rc);                                                                            \
    }

/* the buffer of a split collective stays the file's from begin to end */
static PyObject *began(File *self, Frame *frame, int rc)
{
    if (rc) return finish_heap(frame, rc);
    self->split = frame;
    Py_RETURN_NONE;
}

static int not_begun(const File *self, const Frame *frame)
{
    if (!self->split) return 0;
    PyErr_Format(MPIError, "%s(%s): another split collective is under way on the file: end it first", frame->signature->name, frame->signature->text);
    return RAISED;
}

static PyObject *ended(File *self, Frame *frame, int rc)
{
    if (!rc) { free_frame(self->split); self->split = NULL; }
    return finish(frame, rc);
}

#define SPLIT(name, cname, prepare, access, text, doc, ...)                                               \
    METHOD(File, name##_begin, text, "Begin to: " doc " The buffer may be used again after the end.")     \
    {                                                                                                     \
        Access a;                                                                                         \
        Frame *frame = new_frame();                                                                       \
        int rc = frame ? prepare(signature, frame, &a, access, args, nargs, kwnames) : RAISED;            \
        if (!rc) rc = not_begun(self, frame);                                                             \
        if (!rc) CALL_C(rc, ACCESSED(TOGETHER_ALL), MPI_File_##cname##_begin, __VA_ARGS__);                  \
        return began(self, frame, rc);                                                                    \
    }                                                                                                     \
    METHOD(File, name##_end, "buf, status=None", "End what " #name "_begin began, with the same buffer.") \
    {                                                                                                     \
        Frame frame; Access a; MPI_Status s = empty_status();                                             \
        int rc = here(signature, &frame, &a, access, args, nargs, kwnames);                               \
        if (!rc) CALL(rc, ACCESSED(TOGETHER_ALL), MPI_File_##cname##_end, self->handle, a.m.addr, &s);       \
        if (!rc) set_status(a.status, &s);                                                                \
        return ended(self, &frame, rc);                                                                   \
    }

#define BOTH(BY, place, prepare, together, text, doc, ...)                                                \
    BY(Read##place, read##place, prepare, TO_WRITE, together, text, "Read a buffer " doc, __VA_ARGS__)    \
    BY(Write##place, write##place, prepare, TO_READ, together, text, "Write a buffer " doc, __VA_ARGS__)
#define START(place, prepare, together, text, doc, ...)                                                   \
    NONBLOCKING(Iread##place, iread##place, prepare, TO_WRITE, together, text, "Read a buffer " doc, __VA_ARGS__) \
    NONBLOCKING(Iwrite##place, iwrite##place, prepare, TO_READ, together, text, "Write a buffer " doc, __VA_ARGS__)
#define BEGIN(place, prepare, text, doc, ...)                                                             \
    SPLIT(Read##place, read##place, prepare, TO_WRITE, text, "Read a buffer " doc, __VA_ARGS__)           \
    SPLIT(Write##place, write##place, prepare, TO_READ, text, "Write a buffer " doc, __VA_ARGS__)

#define PLACE(place, prepare, together, text, doc, ...)                                                   \
    BOTH(BLOCKING, place, prepare, together, text, doc, __VA_ARGS__)                                      \
    START(place, prepare, together, text, doc, __VA_ARGS__)
PLACE(_at, at, ALONE, "offset, buf", "at an offset, in etypes of the view.", AT)
PLACE(_at_all, at, TOGETHER_ALL, "offset, buf", "at an offset, in etypes of the view; all processes call this.", AT)
PLACE(, here, ALONE, "buf", "at this process's position, which moves on.", HERE)
PLACE(_all, here, TOGETHER_ALL, "buf", "at this process's position, which moves on; all processes call this.", HERE)
PLACE(_shared, here, ALONE, "buf", "at the shared position, which moves on; in no order.", HERE)
BOTH(BLOCKING, _ordered, here, TOGETHER_ALL, "buf", "at the shared position, which moves on, in the order of ranks; all processes call this.", HERE)
BEGIN(_at_all, at, "offset, buf", "at an offset, in etypes of the view; all processes call this.", AT)
BEGIN(_all, here, "buf", "at this process's position, which moves on; all processes call this.", HERE)
BEGIN(_ordered, here, "buf", "at the shared position, which moves on, in the order of ranks; all processes call this.", HERE)

/* --- positions and sizes ---------------------------------------------------------------------------------- */

#define SAYS_OFFSET(name, cname, doc)                                                                     \
    METHOD0(File, name, doc)                                                                              \
    {                                                                                                     \
        MPI_Offset offset = 0; int rc;                                                                    \
        CALL(rc, NOTE(ON(self)), MPI_File_##cname, self->handle, &offset);                                \
        return finish_with(NULL, rc, PyLong_FromLongLong(offset));                                        \
    }
SAYS_OFFSET(Get_size, get_size, "The size of the file in bytes.")
SAYS_OFFSET(Get_position, get_position, "This process's position, in etypes of the view.")
SAYS_OFFSET(Get_position_shared, get_position_shared, "The shared position, in etypes of the view.")

#define TAKES_SIZE(name, cname, doc)                                                                      \
    METHOD(File, name, "size", doc)                                                                       \
    {                                                                                                     \
        Frame frame; MPI_Count size; int rc = PARSE(&frame, to_count, &size);                             \
        if (!rc) CALL(rc, NOTE(ALL(self)), MPI_File_##cname, self->handle, size);                         \
        return finish(&frame, rc);                                                                        \
    }
TAKES_SIZE(Set_size, set_size, "Cut the file off, or make it longer, to `size` bytes; all processes call this.")
TAKES_SIZE(Preallocate, preallocate, "Make sure that there is room on the disk for `size` bytes; all processes call this.")

#define SEEKS(name, cname, together, doc)                                                                 \
    METHOD(File, name, "offset, whence=SEEK_SET", doc)                                                    \
    {                                                                                                     \
        Frame frame; MPI_Count offset; int whence = MPI_SEEK_SET, rc = PARSE(&frame, to_count, &offset, to_int, &whence); \
        if (!rc) CALL(rc, NOTE(ON(self), .collective = together == TOGETHER_ALL), MPI_File_##cname, self->handle, offset, whence); \
        return finish(&frame, rc);                                                                        \
    }
SEEKS(Seek, seek, ALONE, "Move this process's position, in etypes of the view, from SEEK_SET, SEEK_CUR or SEEK_END.")
SEEKS(Seek_shared, seek_shared, TOGETHER_ALL, "Move the shared position, in etypes of the view, from SEEK_SET, SEEK_CUR or SEEK_END; all processes call this.")

METHOD(File, Get_byte_offset, "offset", "The bytes from the file's begin to an offset in etypes of the view.")
{
    Frame frame; MPI_Count offset; MPI_Offset bytes = 0; int rc = PARSE(&frame, to_count, &offset);
    if (!rc) CALL(rc, NOTE(ON(self)), MPI_File_get_byte_offset, self->handle, offset, &bytes);
    return finish_with(&frame, rc, PyLong_FromLongLong(bytes));
}

METHOD(File, Get_type_extent, "datatype", "The extent of a datatype in the file, in bytes.")
{
    Frame frame; MPI_Datatype type; MPI_Aint extent = 0; int rc = PARSE(&frame, to_type, &type);
    if (!rc) CALL(rc, NOTE(ON(self)), MPI_File_get_type_extent, self->handle, type, &extent);
    return finish_with(&frame, rc, PyLong_FromSsize_t((Py_ssize_t)extent));
}

/* --- views ------------------------------------------------------------------------------------------------ */

METHOD(File, Set_view, "disp=0, etype=BYTE, filetype=None, datarep=\"native\", info=INFO_NULL",
       "What this process sees of the file: from `disp` bytes on, in units of etype, the places that filetype (etype) has; all processes call this (MPI 5.0, section 14.3).")
{
    Frame frame; MPI_Count disp = 0; MPI_Datatype etype = MPI_BYTE, filetype; PyObject *given = Py_None; const char *datarep = "native"; MPI_Info info = MPI_INFO_NULL;
    int rc = PARSE(&frame, to_count, &disp, to_type, &etype, to_object, &given, to_text, &datarep, to_info, &info);
    filetype = etype;
    if (!rc && given != Py_None && to_type(&frame, given, &filetype)) rc = blame(&frame, "filetype");
    if (!rc) CALL(rc, NOTE(ALL(self), .type = filetype), MPI_File_set_view, self->handle, disp, etype, filetype, datarep, info);
    return finish(&frame, rc);
}

/* one that is not predefined is a copy, which the object answers for */
static PyObject *type_found(MPI_Datatype type)
{
    int n, combiner = MPI_COMBINER_NAMED;
    MPI_Type_get_envelope(type, &n, &n, &n, &combiner);
    int known = combiner == MPI_COMBINER_NAMED || combiner == MPI_COMBINER_F90_INTEGER || combiner == MPI_COMBINER_F90_REAL || combiner == MPI_COMBINER_F90_COMPLEX;
    return known ? new_handle(DatatypeType, &type) : new_owned(DatatypeType, &type);
}

METHOD0(File, Get_view, "What this process sees of the file: disp, etype, filetype, datarep.")
{
    MPI_Offset disp; MPI_Datatype etype, filetype; char datarep[MPI_MAX_DATAREP_STRING + 1] = ""; int rc;
    CALL(rc, NOTE(ON(self)), MPI_File_get_view, self->handle, &disp, &etype, &filetype, datarep);
    return rc ? finish(NULL, rc) : Py_BuildValue("LNNs", (long long)disp, type_found(etype), type_found(filetype), datarep);
}

METHOD(File, Set_atomicity, "flag", "Say whether what processes write at once must never mix; all processes call this.")
{
    Frame frame; int flag, rc = PARSE(&frame, to_flag, &flag);
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_File_set_atomicity, self->handle, flag);
    return finish(&frame, rc);
}

METHOD0(File, Get_atomicity, "Whether what processes write at once never mixes.")
{
    int flag = 0, rc;
    CALL(rc, NOTE(ON(self)), MPI_File_get_atomicity, self->handle, &flag);
    return finish_with(NULL, rc, PyBool_FromLong(flag));
}

METHOD0(File, Sync, "Bring what was written to the disk, and see what others have written; all processes call this.")
{
    int rc;
    CALL(rc, NOTE(ALL(self)), MPI_File_sync, self->handle);
    return finish(NULL, rc);
}

/* --- representations of data in files --------------------------------------------------------------------- */

typedef struct { PyObject *read, *write, *extent; } Datarep;

static int extent_in_file(const Datarep *d, MPI_Datatype type, MPI_Aint *extent)
{
    PyObject *datatype = new_handle(DatatypeType, &type), *result = datatype ? PyObject_CallFunctionObjArgs(d->extent, datatype, NULL) : NULL;
    int bad = !result || to_aint(NULL, result, extent);
    Py_XDECREF(datatype);
    Py_XDECREF(result);
    return bad;
}

/* function(userbuf, datatype, count, filebuf, position): count items, in the user's memory from `position` items on */
static int convert_items(const Datarep *d, PyObject *function, void *userbuf, MPI_Datatype type, MPI_Count count, void *filebuf, MPI_Offset position)
{
    MPI_Aint lb, extent, in_file;
    if (MPI_Type_get_extent(type, &lb, &extent) || extent_in_file(d, type, &in_file)) return -1;
    PyObject *user = memory_of(userbuf, (Py_ssize_t)((position + count) * extent), 1), *file = memory_of(filebuf, (Py_ssize_t)(count * in_file), 1);
    PyObject *datatype = new_handle(DatatypeType, &type);
    PyObject *done = user && file && datatype ? PyObject_CallFunction(function, "OOLOL", user, datatype, (long long)count, file, (long long)position) : NULL;
    Py_XDECREF(user);
    Py_XDECREF(file);
    Py_XDECREF(datatype);
    Py_XDECREF(done);
    return done ? 0 : -1;
}

/* an exception is printed, and the call fails */
static int call_back(const Datarep *d, PyObject *function, void *userbuf, MPI_Datatype type, MPI_Count count, void *filebuf, MPI_Offset position, MPI_Aint *extent)
{
    if (!Py_IsInitialized()) return MPI_ERR_CONVERSION;
    PyGILState_STATE gil = PyGILState_Ensure();
    int bad = extent ? extent_in_file(d, type, extent) : convert_items(d, function, userbuf, type, count, filebuf, position);
    if (bad) PyErr_WriteUnraisable(function);
    PyGILState_Release(gil);
    return bad ? MPI_ERR_CONVERSION : MPI_SUCCESS;
}

#define CONVERSION(name, ctype, which)                                                                    \
    static int name(void *userbuf, MPI_Datatype type, ctype count, void *filebuf, MPI_Offset position, void *datarep) \
    {                                                                                                     \
        const Datarep *d = datarep;                                                                       \
        return call_back(d, d->which, userbuf, type, count, filebuf, position, NULL);                     \
    }
CONVERSION(read_items, int, read)
CONVERSION(write_items, int, write)
CONVERSION(read_items_c, MPI_Count, read)
CONVERSION(write_items_c, MPI_Count, write)

static int tell_extent(MPI_Datatype type, MPI_Aint *extent, void *datarep)
{
    const Datarep *d = datarep;
    return call_back(d, d->extent, NULL, type, 0, NULL, 0, extent);
}

static int to_callable(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    if (value != Py_None && !PyCallable_Check(value)) { PyErr_Format(PyExc_TypeError, "%R cannot be called", value); return -1; }
    *(PyObject **)target = value == Py_None ? NULL : value;
    return 0;
}

FUNCTION(Register_datarep, "datarep, read_fn, write_fn, extent_fn",
         "Define a representation of data in files, by functions: read_fn and write_fn(userbuf, datatype, count, filebuf, position) convert, "
         "or are None where nothing is to be done, extent_fn(datatype) says how many bytes an item takes (MPI 5.0, section 14.5.3).")
{
    Frame frame; const char *name; Datarep given = {NULL, NULL, NULL}, *d = NULL;
    (void)self;
    int rc = PARSE(&frame, to_text, &name, to_callable, &given.read, to_callable, &given.write, to_callable, &given.extent);
    if (!rc && !given.extent) { PyErr_SetString(PyExc_TypeError, "Register_datarep: extent_fn must be a function"); rc = RAISED; }
    if (!rc && !(d = PyMem_Malloc(sizeof *d))) { PyErr_NoMemory(); rc = RAISED; }
    if (rc) return finish(&frame, rc);
    *d = given;                         /* for good: a representation cannot be taken back */
    if (large_counts) CALL(rc, NOTE(.comm = NULL), MPI_Register_datarep_c, name, d->read ? read_items_c : NULL, d->write ? write_items_c : NULL, tell_extent, d);
    else CALL(rc, NOTE(.comm = NULL), MPI_Register_datarep, name, d->read ? read_items : NULL, d->write ? write_items : NULL, tell_extent, d);
    if (rc) { PyMem_Free(d); return finish(&frame, rc); }
    Py_XINCREF(d->read);
    Py_XINCREF(d->write);
    Py_INCREF(d->extent);
    return finish(&frame, 0);
}

/* --- what it is ------------------------------------------------------------------------------------------- */

METHOD0(File, Get_amode, "How it was opened: a sum of MODE_ constants.")
{
    int amode = 0, rc;
    CALL(rc, NOTE(ON(self)), MPI_File_get_amode, self->handle, &amode);
    return finish_with(NULL, rc, PyLong_FromLong(amode));
}

METHOD0(File, Get_group, "The group of the processes that opened the file.")
{
    MPI_Group group; int rc;
    CALL(rc, NOTE(ON(self)), MPI_File_get_group, self->handle, &group);
    return rc ? finish(NULL, rc) : new_owned(GroupType, &group);
}

METHOD0(File, Get_info, "The hints that the file goes by.")
{
    MPI_Info info; int rc = self->handle == MPI_FILE_NULL ? MPI_ERR_FILE : 0;      /* Open MPI blames a communicator */
    if (!rc) CALL(rc, NOTE(ON(self)), MPI_File_get_info, self->handle, &info);
    return rc ? finish(NULL, rc) : new_info(info);
}

METHOD(File, Set_info, "info", "Give the file new hints; all processes call this.")
{
    Frame frame; MPI_Info info = MPI_INFO_NULL; int rc = PARSE(&frame, to_info, &info);
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_File_set_info, self->handle, info);
    return finish(&frame, rc);
}

static PyObject *seen_file(const void *handle) { return new_handle(FileType, handle); }
ERRHANDLERS(File, seen_file)

/* --- the type --------------------------------------------------------------------------------------------- */

GETTER(File, size, "The size of the file in bytes.") { return File_Get_size_body(self); }
GETTER(File, amode, "How it was opened: a sum of MODE_ constants.") { return File_Get_amode_body(self); }
GETTER(File, group, "The group of the processes that opened the file.") { return File_Get_group_body(self); }
GETTER(File, group_size, "The number of processes that opened the file.") { return of_group(File_Get_group_body(self), "size"); }
GETTER(File, group_rank, "The rank of this process among them.") { return of_group(File_Get_group_body(self), "rank"); }
GETTER(File, info, "The hints that the file goes by.") { return File_Get_info_body(self); }
GETTER(File, atomicity, "Whether what processes write at once never mixes.") { return File_Get_atomicity_body(self); }

static PyObject *file_repr(PyObject *object)
{
    const File *self = (File *)object;
    if (self->handle == MPI_FILE_NULL || !self->name || !self->context) return handle_repr(object);
    PyObject *class = PyObject_GetAttrString((PyObject *)CLASS_OF(self), "__name__");
    PyObject *text = class ? PyUnicode_FromFormat("<%U %R rank %d of %d>", class, self->name, self->context->rank, self->context->size) : NULL;
    Py_XDECREF(class);
    return text;
}

/* Without an end, MPI may still use the buffer of a split collective: it stays. */
static void file_dealloc(PyObject *object)
{
    File *self = (File *)object;
    if (self->handle == MPI_FILE_NULL || mpi_state != RUNNING) free_frame(self->split);
    Py_XDECREF(self->name);
    drop_context(self->context);
    handle_dealloc(object);
}

static PyGetSetDef getters[] = {
    HANDLE_GETROW, GETROW(File, size), GETROW(File, amode), GETROW(File, group), GETROW(File, group_size), GETROW(File, group_rank),
    SETROW(File, info, Set_info), SETROW(File, atomicity, Set_atomicity), END_OF_GETROWS};
#define PAIR(place) ROW(File, Read##place), ROW(File, Write##place)
#define PAIRS(place) PAIR(place), ROW(File, Iread##place), ROW(File, Iwrite##place)
static PyMethodDef methods[] = {
    HANDLE_ROWS, CLASSROW(File, Open), ROW0(File, Close), CLASSROW(File, Delete), ROW(File, Set_size), ROW(File, Preallocate),
    ROW0(File, Get_size), ROW0(File, Get_amode), ROW0(File, Get_group), ROW(File, Set_info), ROW0(File, Get_info), ROW(File, Set_view),
    ROW0(File, Get_view), PAIRS(_at), PAIRS(_at_all), PAIRS(), PAIRS(_all), PAIRS(_shared), PAIR(_ordered), PAIR(_at_all_begin),
    PAIR(_at_all_end), PAIR(_all_begin), PAIR(_all_end), PAIR(_ordered_begin), PAIR(_ordered_end), ROW(File, Seek), ROW0(File, Get_position),
    ROW(File, Get_byte_offset), ROW(File, Seek_shared), ROW0(File, Get_position_shared), ROW(File, Get_type_extent),
    ROW(File, Set_atomicity), ROW0(File, Get_atomicity), ROW0(File, Sync), ERRHANDLER_ROWS(File), END_OF_ROWS};
static PyType_Slot slots[] = {
    FILE_SLOTS, SLOT(Py_tp_dealloc, file_dealloc), SLOT(Py_tp_repr, file_repr), {Py_tp_getset, getters}, {Py_tp_methods, methods},
    {Py_tp_doc, "A file that several processes have open together."}, {0, NULL}};
static PyType_Spec spec = {"mmpi.MPI.File", sizeof(File), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

PyMethodDef file_functions[] = {ROW_(module, Register_datarep, 0), END_OF_ROWS};
int add_file_type(PyObject *module) { return add_handle_type(module, KIND(File, MPI_FILE_NULL, "Close", NULL), &spec, methods); }
