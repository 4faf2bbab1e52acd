/* Topologies: processes on a grid (MPI 5.0, chapter 8). */
#include "core.h"

PyTypeObject *TopocommType, *CartcommType;

/* a flag for each dimension; one flag, or None, for all */
static int to_periods(Frame *frame, PyObject *value, int ndims, Ints *periods)
{
    int flag = 0;
    if (value != Py_None && PySequence_Check(value))
        return to_ints(frame, value, periods) ? blame(frame, "periods") : same_length(frame, "dims and periods", ndims, periods->count);
    if (value != Py_None && to_flag(frame, value, &flag)) return -1;
    *periods = (Ints){frame_memory(frame, (size_t)ndims, sizeof(int)), ndims};
    for (int i = 0; periods->at && i < ndims; i++) periods->at[i] = flag;
    return periods->at ? 0 : -1;
}

METHOD(Comm, Create_cart, "dims, periods=None, reorder=False", "A communicator whose processes form a grid.")
{
    Frame frame; Ints dims, periods = {NULL, 0}; int reorder = 0; MPI_Comm new = MPI_COMM_NULL; PyObject *wraps = Py_None;
    if (PARSE(&frame, to_ints, &dims, to_object, &wraps, to_flag, &reorder) || to_periods(&frame, wraps, dims.count, &periods)) return finish(&frame, RAISED);
    int rc;
    CALL(rc, NOTE(ALL(self)), MPI_Cart_create, self->handle, dims.count, dims.at, periods.at, reorder, &new);
    if (rc) return finish(&frame, rc);
    return finish_with(&frame, 0, (PyObject *)adopt_comm(CartcommType, new, self->context));
}

FUNCTION(Compute_dims, "nnodes, dims", "Share out nnodes over a grid: dims is its dimension, or a list in which zeros are filled in.")
{
    Frame frame; int nodes, ndims = 0, rc; PyObject *given; Ints dims;
    (void)self;
    if (PARSE(&frame, to_int, &nodes, to_object, &given)) return finish(&frame, RAISED);
    if (PyIndex_Check(given)) {
        if (to_int(&frame, given, &ndims)) return finish(&frame, RAISED);
        if (ndims < 0) { PyErr_Format(PyExc_ValueError, "Compute_dims(nnodes, dims): dims: negative dimension %d", ndims); return finish(&frame, RAISED); }
        dims = (Ints){frame_memory(&frame, (size_t)ndims, sizeof(int)), ndims};
    } else if (to_ints(&frame, given, &dims))
        return finish(&frame, blame(&frame, "dims"));
    if (!dims.at) return finish(&frame, RAISED);
    ANYTIME(rc, MPI_Dims_create, nodes, dims.count, dims.at);
    return finish_with(&frame, rc, rc ? NULL : from_ints(dims.at, dims.count));
}

/* --- on the grid ------------------------------------------------------------------------------------------ */

METHOD0(Comm, Get_dim, "The number of dimensions.")
{
    int ndims = 0, rc;
    LOCAL(rc, MPI_Cartdim_get, self->handle, &ndims);
    return finish_with(NULL, rc, PyLong_FromLong(ndims));
}

/* dims, periods and own coordinates, in the frame's memory */
static int topo(Comm *self, Frame *frame, int **dims, int **periods, int **coords, int *ndims)
{
    int rc;
    LOCAL(rc, MPI_Cartdim_get, self->handle, ndims);
    if (rc) return rc;
    *dims = frame_memory(frame, 3 * (size_t)*ndims, sizeof(int));
    if (!*dims) return RAISED;
    *periods = *dims + *ndims;
    *coords = *periods + *ndims;
    LOCAL(rc, MPI_Cart_get, self->handle, *ndims, *dims, *periods, *coords);
    return rc;
}

METHOD0(Comm, Get_topo, "The grid's dimensions, periods and the coordinates of this process: three lists.")
{
    Frame frame; int *dims, *periods, *coords, ndims;
    open_frame(&frame, NULL);
    int rc = topo(self, &frame, &dims, &periods, &coords, &ndims);
    if (rc) return finish(&frame, rc);
    return finish_with(&frame, 0, Py_BuildValue("NNN", from_ints(dims, ndims), from_ints(periods, ndims), from_ints(coords, ndims)));
}

METHOD(Comm, Get_cart_rank, "coords", "The rank of the process at these coordinates.")
{
    Frame frame; Ints coords; int ndims = 0, rank = MPI_PROC_NULL;
    int rc = PARSE(&frame, to_ints, &coords);
    if (!rc) LOCAL(rc, MPI_Cartdim_get, self->handle, &ndims);
    if (!rc && same_length(&frame, "coords and the grid's dimensions", coords.count, ndims)) rc = RAISED;
    if (!rc) LOCAL(rc, MPI_Cart_rank, self->handle, coords.at, &rank);
    return finish_with(&frame, rc, PyLong_FromLong(rank));
}

METHOD(Comm, Get_coords, "rank", "The coordinates of a rank.")
{
    Frame frame; int rank, ndims = 0, *coords = NULL;
    int rc = PARSE(&frame, to_int, &rank), size = 0;
    if (!rc) LOCAL(rc, MPI_Cartdim_get, self->handle, &ndims);
    if (!rc) LOCAL(rc, MPI_Comm_size, self->handle, &size);
    if (!rc && (rank < 0 || rank >= size)) rc = MPI_ERR_RANK;           /* Open MPI does not look */
    if (!rc && !(coords = frame_memory(&frame, (size_t)ndims, sizeof(int)))) rc = RAISED;
    if (!rc) LOCAL(rc, MPI_Cart_coords, self->handle, rank, ndims, coords);
    return finish_with(&frame, rc, rc ? NULL : from_ints(coords, ndims));
}

METHOD(Comm, Shift, "direction, disp", "The ranks to receive from and to send to, for a shift along a dimension; PROC_NULL beyond the edge.")
{
    Frame frame; int direction, disp, ndims = 0, source = MPI_PROC_NULL, dest = MPI_PROC_NULL;
    int rc = PARSE(&frame, to_int, &direction, to_int, &disp);
    if (!rc) LOCAL(rc, MPI_Cartdim_get, self->handle, &ndims);
    if (!rc && (direction < 0 || direction >= ndims)) rc = MPI_ERR_DIMS;        /* Open MPI does not look */
    if (!rc) LOCAL(rc, MPI_Cart_shift, self->handle, direction, disp, &source, &dest);
    return finish_with(&frame, rc, rc ? NULL : Py_BuildValue("ii", source, dest));
}

METHOD(Comm, Sub, "remain_dims", "A communicator for each slice of the grid in the dimensions that remain.")
{
    Frame frame; Ints remain; int ndims = 0; MPI_Comm new = MPI_COMM_NULL;
    int rc = PARSE(&frame, to_ints, &remain);
    if (!rc) LOCAL(rc, MPI_Cartdim_get, self->handle, &ndims);
    if (!rc && same_length(&frame, "remain_dims and the grid's dimensions", remain.count, ndims)) rc = RAISED;
    if (!rc) CALL(rc, NOTE(ALL(self)), MPI_Cart_sub, self->handle, remain.at, &new);
    return finish_with(&frame, rc, rc ? NULL : (PyObject *)adopt_comm(CartcommType, new, self->context));
}

/* one of the three lists of Get_topo */
static PyObject *part(Comm *self, int which)
{
    PyObject *all = Comm_Get_topo_body(self), *list = all ? Py_NewRef(PyTuple_GetItem(all, which)) : NULL;
    Py_XDECREF(all);
    return list;
}

GETTER(Comm, dim, "The number of dimensions.") { return Comm_Get_dim_body(self); }
GETTER(Comm, ndim, "The number of dimensions.") { return Comm_Get_dim_body(self); }
GETTER(Comm, topo, "Dimensions, periods and own coordinates.") { return Comm_Get_topo_body(self); }
GETTER(Comm, dims, "The grid's dimensions.") { return part(self, 0); }
GETTER(Comm, periods, "Which dimensions wrap around.") { return part(self, 1); }
GETTER(Comm, coords, "The coordinates of this process.") { return part(self, 2); }

/* --- the types -------------------------------------------------------------------------------------------- */

PyMethodDef topology_methods[] = {ROW(Comm, Create_cart), END_OF_ROWS};
PyMethodDef topology_functions[] = {ROW_(module, Compute_dims, 0), END_OF_ROWS};
static PyMethodDef cart_methods[] = {
    ROW0(Comm, Get_dim), ROW0(Comm, Get_topo), ROW(Comm, Get_cart_rank), ROW(Comm, Get_coords), ROW(Comm, Shift), ROW(Comm, Sub), END_OF_ROWS};
static PyGetSetDef cart_getters[] = {
    GETROW(Comm, dim), GETROW(Comm, ndim), GETROW(Comm, topo), GETROW(Comm, dims), GETROW(Comm, periods), GETROW(Comm, coords), END_OF_GETROWS};
static PyType_Slot topo_slots[] = {SLOT(Py_tp_dealloc, comm_dealloc), {Py_tp_doc, "A communicator with a topology."}, {0, NULL}};
static PyType_Slot cart_slots[] = {
    SLOT(Py_tp_dealloc, comm_dealloc), {Py_tp_methods, cart_methods}, {Py_tp_getset, cart_getters}, {Py_tp_doc, "A communicator whose processes form a grid."}, {0, NULL}};
static PyType_Spec topo_spec = {"mmpi.MPI.Topocomm", sizeof(Comm), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, topo_slots};
static PyType_Spec cart_spec = {"mmpi.MPI.Cartcomm", sizeof(Comm), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, cart_slots};

int add_topology_types(PyObject *module)
{
    return add_type(module, &TopocommType, &topo_spec, IntracommType, NULL) ||
           add_type(module, &CartcommType, &cart_spec, TopocommType, cart_methods) ? -1 : 0;
}
