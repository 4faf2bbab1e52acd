/* Groups: ordered sets of processes (MPI 5.0, chapter 7). */
#include "core.h"

PyTypeObject *GroupType;

int to_group(Frame *frame, PyObject *value, void *target)
{
    (void)frame;
    if (!PyObject_TypeCheck(value, GroupType)) { PyErr_Format(PyExc_TypeError, "expected a Group, not %R", value); return -1; }
    *(MPI_Group *)target = ((Group *)value)->handle;
    return 0;
}

METHOD0(Group, Get_rank, "The rank of this process in the group, UNDEFINED outside.")
{
    int rank = MPI_UNDEFINED, rc;
    LOCAL(rc, MPI_Group_rank, self->handle, &rank);
    return finish_with(NULL, rc, PyLong_FromLong(rank));
}

METHOD0(Group, Get_size, "The number of processes in the group.")
{
    int size = 0, rc;
    LOCAL(rc, MPI_Group_size, self->handle, &size);
    return finish_with(NULL, rc, PyLong_FromLong(size));
}

METHOD(Group, Compare, "group", "IDENT, SIMILAR or UNEQUAL.")
{
    Frame frame; MPI_Group other; int result = MPI_UNEQUAL;
    int rc = PARSE(&frame, to_group, &other);
    if (!rc) LOCAL(rc, MPI_Group_compare, self->handle, other, &result);
    return finish_with(&frame, rc, PyLong_FromLong(result));
}

static void release_group(MPI_Group *group)
{
    Py_BEGIN_ALLOW_THREADS
    MPI_Group_free(group);
    Py_END_ALLOW_THREADS
}

/* ranks or None for all; the other group or None for WORLD's */
METHOD(Group, Translate_ranks, "ranks=None, group=None", "The ranks of these processes in another group (None: all ranks, the group of WORLD).")
{
    Frame frame; PyObject *ranks = Py_None, *group = Py_None; Ints from; MPI_Group other = MPI_GROUP_NULL;
    int rc = PARSE(&frame, to_object, &ranks, to_object, &group), own = 0;
    if (!rc && ranks != Py_None && to_ints(&frame, ranks, &from)) rc = blame(&frame, "ranks");
    if (!rc && group != Py_None && to_group(&frame, group, &other)) rc = blame(&frame, "group");
    if (!rc && ranks == Py_None) {
        LOCAL(rc, MPI_Group_size, self->handle, &from.count);
        if (!rc && !(from.at = frame_memory(&frame, (size_t)from.count, sizeof(int)))) rc = RAISED;
        for (int i = 0; !rc && i < from.count; i++) from.at[i] = i;
    }
    if (!rc && group == Py_None && open_sessions) rc = group_of_all(&other);
    else if (!rc && group == Py_None) LOCAL(rc, MPI_Comm_group, MPI_COMM_WORLD, &other);
    own = !rc && group == Py_None;
    int *to = rc ? NULL : frame_memory(&frame, (size_t)from.count, sizeof(int));
    if (!rc && !to) rc = RAISED;
    if (!rc) LOCAL(rc, MPI_Group_translate_ranks, self->handle, from.count, from.at, other, to);
    if (own) release_group(&other);
    return finish_with(&frame, rc, rc ? NULL : from_ints(to, from.count));
}

#define COMBINATION(name, function, doc)                                                                  \
    CLASSMETHOD(Group, name, "group1, group2", doc)                                                       \
    {                                                                                                     \
        Frame frame; MPI_Group a, b, new = MPI_GROUP_NULL;                                                \
        int rc = PARSE(&frame, to_group, &a, to_group, &b);                                               \
        if (!rc) LOCAL(rc, function, a, b, &new);                                                         \
        return finish_with(&frame, rc, rc ? NULL : new_owned(self, &new));                               \
    }
COMBINATION(Union, MPI_Group_union, "The processes of the first group, then those of the second that are not in it.")
COMBINATION(Intersection, MPI_Group_intersection, "The processes of the first group that are in the second.")
COMBINATION(Difference, MPI_Group_difference, "The processes of the first group that are not in the second.")

METHOD0(Group, Dup, "A group of the same processes.")
{
    MPI_Group new = MPI_GROUP_NULL; int rc;
    LOCAL(rc, MPI_Group_union, self->handle, MPI_GROUP_EMPTY, &new);
    return rc ? finish(NULL, rc) : new_owned(CLASS_OF(self), &new);
}

#define CHOICE(name, function, doc)                                                                       \
    METHOD(Group, name, "ranks", doc)                                                                     \
    {                                                                                                     \
        Frame frame; Ints ranks; MPI_Group new = MPI_GROUP_NULL;                                          \
        int rc = PARSE(&frame, to_ints, &ranks);                                                          \
        if (!rc) LOCAL(rc, function, self->handle, ranks.count, ranks.at, &new);                          \
        return finish_with(&frame, rc, rc ? NULL : new_owned(CLASS_OF(self), &new));                      \
    }
CHOICE(Incl, MPI_Group_incl, "The processes with these ranks, in this order.")
CHOICE(Excl, MPI_Group_excl, "All processes but those with these ranks.")

typedef struct { int (*at)[3]; int count; } Ranges;

static int to_ranges(Frame *frame, PyObject *value, void *target)
{
    Ranges *ranges = target;
    Py_ssize_t n = PySequence_Size(value);
    if (n < 0) return -1;
    ranges->count = (int)n;
    ranges->at = frame_memory(frame, (size_t)n, sizeof *ranges->at);
    for (Py_ssize_t i = 0; ranges->at && i < n; i++) {
        PyObject *item = PySequence_GetItem(value, i), *triple = item ? PySequence_Tuple(item) : NULL;
        int bad = !triple;
        if (triple && PyTuple_Size(triple) != 3) { PyErr_Format(PyExc_ValueError, "item %zd is not one of the ranges (first, last, stride)", i); bad = 1; }
        for (int j = 0; !bad && j < 3; j++) bad = to_int(frame, PyTuple_GetItem(triple, j), &ranges->at[i][j]);
        Py_XDECREF(item);
        Py_XDECREF(triple);
        if (bad) return -1;
    }
    return ranges->at ? 0 : -1;
}

#define RANGE(name, function, doc)                                                                        \
    METHOD(Group, name, "ranks", doc)                                                                     \
    {                                                                                                     \
        Frame frame; Ranges ranges; MPI_Group new = MPI_GROUP_NULL;                                       \
        int rc = PARSE(&frame, to_ranges, &ranges);                                                       \
        if (!rc) LOCAL(rc, function, self->handle, ranges.count, ranges.at, &new);                        \
        return finish_with(&frame, rc, rc ? NULL : new_owned(CLASS_OF(self), &new));                      \
    }
RANGE(Range_incl, MPI_Group_range_incl, "The processes in these ranges, triples (first, last, stride).")
RANGE(Range_excl, MPI_Group_range_excl, "All processes but those in these ranges, triples (first, last, stride).")

METHOD0(Group, Free, "Free the group.")
{
    int rc;
    CALL(rc, NOTE(.comm = NULL), MPI_Group_free, &self->handle);
    if (!rc) disown((PyObject *)self);
    return finish(NULL, rc);
}

/* an attribute of a group that nobody needs any more; steals it */
PyObject *of_group(PyObject *group, const char *attribute)
{
    PyObject *value = group ? PyObject_GetAttrString(group, attribute) : NULL;
    Py_XDECREF(group);
    return value;
}

GETTER(Group, rank, "The rank of this process in the group.") { return Group_Get_rank_body(self); }
GETTER(Group, size, "The number of processes in the group.") { return Group_Get_size_body(self); }

static PyGetSetDef getters[] = {HANDLE_GETROW, GETROW(Group, rank), GETROW(Group, size), END_OF_GETROWS};
static PyMethodDef methods[] = {
    HANDLE_ROWS, ROW0(Group, Get_rank), ROW0(Group, Get_size), ROW(Group, Compare), ROW(Group, Translate_ranks), CLASSROW(Group, Union),
    CLASSROW(Group, Intersection), {"Intersect", (PyCFunction)(void (*)(void))Group_Intersection, METH_FASTCALL | METH_KEYWORDS | METH_CLASS, Group_Intersection_doc},
    CLASSROW(Group, Difference), ROW0(Group, Dup), ROW(Group, Incl), ROW(Group, Excl), ROW(Group, Range_incl), ROW(Group, Range_excl),
    ROW0(Group, Free), END_OF_ROWS};

static int release(void *handle) { return MPI_Group_free(handle); }

int add_group_type(PyObject *module)
{
    PyMethodDef *const tables[] = {methods, session_group_methods, NULL}, *all = joined(tables);
    PyType_Slot slots[] = {HANDLE_SLOTS, {Py_tp_getset, getters}, {Py_tp_methods, all}, {Py_tp_doc, "An ordered set of processes."}, {0, NULL}};
    PyType_Spec spec = {"mmpi.MPI.Group", sizeof(Group), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
    return all ? add_handle_type(module, KIND(Group, MPI_GROUP_NULL, "Free", release), &spec, all) : -1;
}
