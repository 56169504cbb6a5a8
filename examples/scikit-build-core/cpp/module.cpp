// polyline._core: the glue between Python and simplify.hpp.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "simplify.hpp"

namespace py = pybind11;

PYBIND11_MODULE(_core, m) {
    m.doc() = "The compiled part of polyline; import that instead.";

    m.def("simplify", &polyline::simplify, py::arg("points"), py::arg("tolerance"),
          py::call_guard<py::gil_scoped_release>(),
          "The points that are needed to stay within the tolerance of all of them.\n\n"
          "Ramer-Douglas-Peucker. The first and the last point always stay.");
    m.def("length", &polyline::length, py::arg("points"),
          py::call_guard<py::gil_scoped_release>(),
          "The sum of the lengths of the segments.");
}
