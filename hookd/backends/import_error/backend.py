"""Cannot be imported, since something that it needs is missing."""

print("importing")

import no_such_dependency
