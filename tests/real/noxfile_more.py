import os

import nox
import pyenv_build.nox

LOOKS = """
import os, sys
path = os.environ["PATH"].split(os.pathsep)
session = sys.argv[1]
assert not any(session in directory for directory in path), path
assert "/.pyenv-build/envs/" in path[0] and "/.pyenv-build/envs/" in os.environ["VIRTUAL_ENV"], os.environ
for name in ("NOX_CURRENT_SESSION", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "__PYENV_BUILD_PATH"):
    assert session not in os.environ.get(name, ""), (name, os.environ[name])
assert os.environ["OF_THE_NOXFILE"] == "1" and os.environ["OF_THE_CALL"] == "2"
assert path[1] == "/of/the/noxfile", path
print("cargo sees nothing of the session")
"""


@nox.session(python=PYTHONS[0])
def looks(session):
    session.env["OF_THE_NOXFILE"] = "1"
    session.env["PATH"] = "/of/the/noxfile" + os.pathsep + session.env.get("PATH", os.environ["PATH"])
    location = session.virtualenv.location
    pyenv_build.nox.run(session, "python", "-c", LOOKS, location, env={"OF_THE_CALL": "2"})
    variables = pyenv_build.nox.env(session)
    assert "/.pyenv-build/envs/" in variables["PYO3_PYTHON"], variables
    wheels = pyenv_build.nox.build(session, out_dir="built", config_settings={"build-args": ["--locked"]})
    assert [wheel.is_file() and wheel.parent.name for wheel in wheels] == ["built"], wheels


@nox.session(python=PYTHONS[0])
def says(session):
    pyenv_build.nox.install(session)
    session.run("python", "-c", "import nearword; print('it says', nearword.__doc__.splitlines()[0])")
