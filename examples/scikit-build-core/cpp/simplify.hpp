// Knows nothing of Python.
#pragma once

#include <utility>
#include <vector>

namespace polyline {

using Point = std::pair<double, double>;

// Ramer-Douglas-Peucker: the fewest of the points that this method needs to
// stay within `tolerance` of all of them. The first and the last always stay.
// Throws std::invalid_argument if `tolerance` is negative or not a number, or
// a coordinate is not finite.
std::vector<Point> simplify(const std::vector<Point> &points, double tolerance);

// The sum of the lengths of the segments.
double length(const std::vector<Point> &points);

} // namespace polyline
