#include "simplify.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>

namespace polyline {

namespace {

// From `p` to the segment `a`-`b` (not to the endless line through it, which
// would lose the turning points of a line that doubles back).
double distance(const Point &p, const Point &a, const Point &b) {
    const double dx = b.first - a.first;
    const double dy = b.second - a.second;
    const double squared = dx * dx + dy * dy;
    double t = 0.0;
    if (squared > 0.0) {
        t = ((p.first - a.first) * dx + (p.second - a.second) * dy) / squared;
        t = std::clamp(t, 0.0, 1.0);
    }
    return std::hypot(p.first - (a.first + t * dx), p.second - (a.second + t * dy));
}

} // namespace

std::vector<Point> simplify(const std::vector<Point> &points, double tolerance) {
    if (!(tolerance >= 0.0)) {
        throw std::invalid_argument("the tolerance must not be negative");
    }
    for (const Point &p : points) {
        if (!std::isfinite(p.first) || !std::isfinite(p.second)) {
            throw std::invalid_argument("the coordinates must be finite");
        }
    }
    if (points.size() < 3) {
        return points;
    }

    std::vector<bool> keep(points.size(), false);
    keep.front() = keep.back() = true;

    // A stack of our own: a long line must not overflow the machine's.
    std::vector<std::pair<std::size_t, std::size_t>> open{{0, points.size() - 1}};
    while (!open.empty()) {
        const auto [first, last] = open.back();
        open.pop_back();

        double farthest = tolerance;
        std::size_t at = 0;
        for (std::size_t i = first + 1; i < last; ++i) {
            const double d = distance(points[i], points[first], points[last]);
            if (d > farthest) {
                farthest = d;
                at = i;
            }
        }
        if (at != 0) {
            keep[at] = true;
            open.emplace_back(first, at);
            open.emplace_back(at, last);
        }
    }

    std::vector<Point> kept;
    for (std::size_t i = 0; i < points.size(); ++i) {
        if (keep[i]) {
            kept.push_back(points[i]);
        }
    }
    return kept;
}

double length(const std::vector<Point> &points) {
    double sum = 0.0;
    for (std::size_t i = 1; i < points.size(); ++i) {
        sum += std::hypot(points[i].first - points[i - 1].first,
                          points[i].second - points[i - 1].second);
    }
    return sum;
}

} // namespace polyline
