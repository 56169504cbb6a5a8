//! Projects with all kinds of build backends: the wheel and the source distribution are those that
//! `python -m build` makes.

use std::path::{Path, PathBuf};

use crate::machine::{self, Scratch, Venv, command, git, run, tools, write_tree};
use crate::ours::Ours;
use crate::{sdists, wheels};

/// A project, and what its wheel is good for.
#[derive(Debug, Default)]
struct Project<'a> {
    files: &'a [(&'a str, &'a str)],
    /// Git knows the tree, under this tag.
    tag: Option<&'a str>,
    /// A member that the wheel must have.
    has: &'a str,
    /// Python code that must run where the wheel is installed.
    check: &'a str,
}

impl Project<'_> {
    fn write(&self, directory: &Path) -> PathBuf {
        let directory = directory.join("project");
        write_tree(&directory, self.files);
        if let Some(tag) = self.tag {
            machine::commit(&directory);
            git(&directory, &["tag", tag]);
        }
        directory
    }

    /// Builds the project with ours and with `python -m build`, each from a tree of its own, and
    /// compares what they made.
    fn same_as_build(&self) {
        let (one, other) = (Scratch::new(), Scratch::new());
        let ours = Ours::new(&self.write(&one.path())).argument("--sdist").build();
        let wheel = ours.artifact("wheel");
        assert!(
            wheels::members(&wheel).iter().any(|member| member.contains(self.has)),
            "{:?}",
            wheels::members(&wheel)
        );
        let directory = self.write(&other.path());
        run(command(&tools().python)
            .args(["-m", "build", "--sdist", "--wheel", "--outdir", "out"])
            .current_dir(&directory));
        let theirs = directory.join("out").join(wheel.file_name().unwrap());
        wheels::assert_same(&wheel, &theirs);
        let sdist = ours.artifact("sdist");
        sdists::assert_same(&sdist, &directory.join("out").join(sdist.file_name().unwrap()));
        Venv::with(&tools().interpreter, &wheel).check(self.check);
        Venv::with(&tools().interpreter, &theirs).check(self.check);
    }
}

const C_EXTENSION: &str = r#"
#define PY_SSIZE_T_CLEAN
#include <Python.h>

static PyObject *twice(PyObject *self, PyObject *argument) {
    long value = PyLong_AsLong(argument);
    if (value == -1 && PyErr_Occurred())
        return NULL;
    return PyLong_FromLong(2 * value);
}

static PyMethodDef methods[] = {{"twice", twice, METH_O, "Two times a number."}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_native", NULL, 0, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit__native(void) { return PyModule_Create(&module); }
"#;

#[test]
fn flit_core() {
    Project {
        files: &[
            (
                "pyproject.toml",
                r#"
                [build-system]
                requires = ["flit_core >=3.11,<4"]
                build-backend = "flit_core.buildapi"
                [project]
                name = "Real.Flit"
                dynamic = ["version", "description"]
                readme = "README.md"
                license = "MIT"
                license-files = ["LICENSE"]
                [project.scripts]
                real-flit = "real_flit:main"
                [tool.flit.module]
                name = "real_flit"
                "#,
            ),
            ("README.md", "# Read me\n"),
            ("LICENSE", "As you like it.\n"),
            ("real_flit/__init__.py", "\"\"\"Built by flit.\"\"\"\n__version__ = '1.2.3'\n\ndef main():\n    print('flit')\n"),
            ("real_flit/data.txt", "naïve ☃\n"),
        ],
        has: "licenses/LICENSE",
        check: "import real_flit, pathlib; assert pathlib.Path(real_flit.__file__).with_name('data.txt').read_text('utf-8') == 'naïve ☃\\n'",
        ..Project::default()
    }
    .same_as_build();
}

#[test]
fn hatchling() {
    Project {
        files: &[
            (
                "pyproject.toml",
                r#"
                [build-system]
                requires = ["hatchling"]
                build-backend = "hatchling.build"
                [project]
                name = "real-hatchling"
                dynamic = ["version"]
                dependencies = ["iniconfig>=2; python_version >= '3'"]
                [project.optional-dependencies]
                more = ["packaging"]
                [project.entry-points."real.plugins"]
                one = "real_hatchling:one"
                [tool.hatch.version]
                path = "src/real_hatchling/__init__.py"
                [tool.hatch.build.targets.wheel]
                packages = ["src/real_hatchling"]
                [tool.hatch.build.targets.wheel.shared-data]
                "share" = "share/real-hatchling"
                "#,
            ),
            // hatchling packs whatever git does not ignore, by the file in the root only.
            (".gitignore", "/.pyenv-build/\n"),
            ("src/real_hatchling/__init__.py", "__version__ = '0.1.dev3'\none = 1\n"),
            ("share/notes.txt", "shared\n"),
        ],
        has: ".data/data/share/real-hatchling/notes.txt",
        check: "import real_hatchling, importlib.metadata as m; assert m.version('real-hatchling') == '0.1.dev3'; import iniconfig",
        ..Project::default()
    }
    .same_as_build();
}

#[test]
fn poetry_core() {
    Project {
        files: &[
            (
                "pyproject.toml",
                r#"
                [build-system]
                requires = ["poetry-core>=1.9"]
                build-backend = "poetry.core.masonry.api"
                [tool.poetry]
                name = "real-poetry"
                version = "2.0.0"
                description = "Built by poetry"
                authors = ["Nobody <nobody@example.org>"]
                packages = [{ include = "real_poetry" }]
                [tool.poetry.dependencies]
                python = "^3.8"
                "#,
            ),
            ("real_poetry/__init__.py", ""),
            ("real_poetry/py.typed", ""),
        ],
        has: "real_poetry/py.typed",
        check: "import real_poetry",
        ..Project::default()
    }
    .same_as_build();
}

#[test]
fn pdm_backend() {
    Project {
        files: &[
            (
                "pyproject.toml",
                r#"
                [build-system]
                requires = ["pdm-backend"]
                build-backend = "pdm.backend"
                [project]
                name = "real-pdm"
                dynamic = ["version"]
                [tool.pdm.version]
                source = "file"
                path = "src/real_pdm/__init__.py"
                [tool.pdm.build]
                custom-hook = "hook.py"
                "#,
            ),
            ("hook.py", "def pdm_build_initialize(context):\n    context.ensure_build_dir()\n    made = context.build_dir / 'real_pdm' / 'made.py'\n    made.parent.mkdir(exist_ok=True)\n    made.write_text('made = True\\n')\n"),
            ("src/real_pdm/__init__.py", "__version__ = '3.1'\n"),
        ],
        has: "real_pdm/made.py",
        check: "import real_pdm.made",
        ..Project::default()
    }
    .same_as_build();
}

#[test]
fn uv_build() {
    Project {
        files: &[
            (
                "pyproject.toml",
                r#"
                [build-system]
                requires = ["uv_build>=0.9,<1"]
                build-backend = "uv_build"
                [project]
                name = "real-uv-build"
                version = "1"
                requires-python = ">=3.8"
                "#,
            ),
            ("src/real_uv_build/__init__.py", ""),
        ],
        has: "real_uv_build/__init__.py",
        check: "import real_uv_build",
        ..Project::default()
    }
    .same_as_build();
}

#[test]
fn setuptools() {
    Project {
        files: &[
            (
                "pyproject.toml",
                r#"
                [build-system]
                requires = ["setuptools>=64"]
                build-backend = "setuptools.build_meta"
                [project]
                name = "real-setuptools"
                dynamic = ["version"]
                [project.gui-scripts]
                real-setuptools = "real_setuptools:main"
                [tool.setuptools.dynamic]
                version = { attr = "real_setuptools.VERSION" }
                "#,
            ),
            ("src/real_setuptools/__init__.py", "VERSION = '4.5.6'\n\ndef main():\n    pass\n"),
            ("src/real_setuptools/inner/__init__.py", ""),
            ("src/real_setuptools/namespace/module.py", ""),
        ],
        has: "entry_points.txt",
        check: "import real_setuptools.inner, real_setuptools.namespace.module",
        ..Project::default()
    }
    .same_as_build();
}

/// PEP 518: setuptools and its legacy backend, which lets `setup.py` import what is beside it.
#[test]
fn setuptools_without_build_system() {
    Project {
        files: &[
            ("pyproject.toml", "[project]\nname = 'real-unsaid'\nversion = '1.0'\n[tool.setuptools]\npy-modules = ['real_unsaid']\n"),
            ("setup.py", "import beside\nfrom setuptools import setup\nsetup(keywords=beside.KEYWORDS)\n"),
            ("beside.py", "KEYWORDS = ['beside']\n"),
            ("real_unsaid.py", ""),
        ],
        has: "real_unsaid.py",
        check: "import real_unsaid",
        ..Project::default()
    }
    .same_as_build();
}

#[test]
fn setup_py_only() {
    Project {
        files: &[
            (
                "setup.py",
                "import os\nfrom setuptools import setup\nimport beside\n\nassert os.path.samefile(os.getcwd(), os.path.dirname(os.path.abspath(__file__)))\n\
                 setup(name='Real_Setup.py', version=beside.VERSION, packages=['real_setup'], scripts=['tool.sh'], python_requires='>=3.6')\n",
            ),
            ("beside.py", "VERSION = '1.0.post1'\n"),
            ("real_setup/__init__.py", ""),
            ("tool.sh", "#!/bin/sh\n"),
        ],
        has: ".data/scripts/tool.sh",
        check: "import real_setup",
        ..Project::default()
    }
    .same_as_build();
}

#[test]
fn setup_cfg_with_package_data() {
    Project {
        files: &[
            (
                "setup.cfg",
                "[metadata]\nname = real-cfg\nversion = file: VERSION\nlong_description = file: README.rst\n\
                 [options]\npackages = find:\ninclude_package_data = True\nzip_safe = False\n\
                 [options.packages.find]\nwhere = .\n[options.package_data]\nreal_cfg = *.json\n[options.extras_require]\ntest = pytest\n",
            ),
            ("pyproject.toml", "[build-system]\nrequires = ['setuptools', 'wheel']\n"),
            ("VERSION", "7.8\n"),
            ("README.rst", "Read\n====\n"),
            ("MANIFEST.in", "recursive-include real_cfg *.txt\n# All that is in the tree.\nglobal-include *.py *.json *.toml\nprune .pyenv-build\n"),
            ("real_cfg/__init__.py", ""),
            ("real_cfg/settings.json", "{}\n"),
            ("real_cfg/texts/one.txt", "1\n"),
        ],
        has: "real_cfg/texts/one.txt",
        check: "import real_cfg, pathlib; assert pathlib.Path(real_cfg.__file__).with_name('settings.json').exists()",
        ..Project::default()
    }
    .same_as_build();
}

/// `get_requires_for_build_wheel` adds to the requirements, and the build needs it.
#[test]
fn backend_in_the_tree_that_wraps_setuptools() {
    Project {
        files: &[
            (
                "pyproject.toml",
                r#"
                [build-system]
                requires = ["setuptools>=64"]
                build-backend = "wrapping"
                backend-path = ["backend", "backend/more"]
                [project]
                name = "real-wrapped"
                version = "1"
                [tool.setuptools]
                packages = ["real_wrapped"]
                "#,
            ),
            (
                "backend/wrapping.py",
                "from setuptools.build_meta import *\nfrom setuptools import build_meta\nimport naming\n\n\
                 def get_requires_for_build_wheel(config_settings=None):\n    return build_meta.get_requires_for_build_wheel(config_settings) + ['tomli-w==1.2.0']\n\n\
                 def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):\n    import pathlib, tomli_w\n    \
                 pathlib.Path('real_wrapped/made.py').write_text(f'made = {tomli_w.dumps({naming.NAME: 1})!r}\\n')\n    \
                 return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)\n",
            ),
            ("backend/more/naming.py", "NAME = 'name'\n"),
            ("real_wrapped/__init__.py", ""),
        ],
        has: "real_wrapped/made.py",
        check: "import real_wrapped.made; assert real_wrapped.made.made == 'name = 1\\n'",
        ..Project::default()
    }
    .same_as_build();
}

/// The version comes from git, through a plug-in and the metadata hook that writes a file.
#[test]
fn hatch_vcs() {
    Project {
        files: &[
            (
                "pyproject.toml",
                r#"
                [build-system]
                requires = ["hatchling>=1.27", "hatch-vcs"]
                build-backend = "hatchling.build"
                [project]
                name = "real-vcs"
                dynamic = ["version"]
                [tool.hatch.version]
                source = "vcs"
                [tool.hatch.build.hooks.vcs]
                version-file = "real_vcs/_version.py"
                "#,
            ),
            (".gitignore", "real_vcs/_version.py\n.pyenv-build\n"),
            ("real_vcs/__init__.py", "from ._version import version\n"),
        ],
        tag: Some("v5.6.7"),
        has: "real_vcs/_version.py",
        check: "import real_vcs; assert real_vcs.version == '5.6.7'",
    }
    .same_as_build();
}

/// Like `hatch_vcs`, in a tree whose `.gitignore` does not know our directory: that must not make
/// the tree look changed.
#[test]
fn setuptools_scm() {
    Project {
        files: &[
            (
                "pyproject.toml",
                r#"
                [build-system]
                requires = ["setuptools>=64", "setuptools-scm[toml]>=8"]
                build-backend = "setuptools.build_meta"
                [project]
                name = "real-scm"
                dynamic = ["version"]
                [tool.setuptools_scm]
                "#,
            ),
            ("src/real_scm/__init__.py", ""),
            ("src/real_scm/kept-by-git.dat", "0\n"),
        ],
        tag: Some("1.0.0"),
        has: "real_scm/kept-by-git.dat",
        check: "import real_scm, importlib.metadata as m; assert m.version('real-scm') == '1.0.0', m.version('real-scm')",
    }
    .same_as_build();
}

#[test]
fn cffi_extension() {
    Project {
        files: &[
            ("pyproject.toml", "[build-system]\nrequires = ['setuptools', 'cffi>=1.15']\nbuild-backend = 'setuptools.build_meta'\n"),
            (
                "setup.py",
                "from setuptools import setup\nsetup(name='real-cffi', version='1', packages=['real_cffi'], cffi_modules=['build_cffi.py:ffibuilder'], install_requires=['cffi>=1.15'])\n",
            ),
            (
                "build_cffi.py",
                "from cffi import FFI\nffibuilder = FFI()\nffibuilder.cdef('int twice(int);')\nffibuilder.set_source('real_cffi._native', 'int twice(int x) { return 2 * x; }')\n",
            ),
            ("real_cffi/__init__.py", ""),
        ],
        has: "real_cffi/_native",
        check: "from real_cffi._native import lib; assert lib.twice(21) == 42",
        ..Project::default()
    }
    .same_as_build();
}

#[test]
#[ignore = "takes half a minute; the workflow runs it"]
fn cython_extension() {
    Project {
        files: &[
            ("pyproject.toml", "[build-system]\nrequires = ['setuptools', 'Cython>=3.0']\nbuild-backend = 'setuptools.build_meta'\n"),
            (
                "setup.py",
                "from Cython.Build import cythonize\nfrom setuptools import setup\nsetup(name='real-cython', version='1', packages=['real_cython'], ext_modules=cythonize('real_cython/*.pyx'), include_package_data=False)\n",
            ),
            ("real_cython/__init__.py", ""),
            ("real_cython/_native.pyx", "def twice(int x):\n    return 2 * x\n"),
        ],
        has: "real_cython/_native",
        check: "from real_cython._native import twice; assert twice(21) == 42",
        ..Project::default()
    }
    .same_as_build();
}

/// meson-python asks for Ninja itself, when the machine has none.
#[test]
#[ignore = "takes half a minute; the workflow runs it"]
fn meson_python_extension() {
    Project {
        files: &[
            (
                "pyproject.toml",
                "[build-system]\nrequires = ['meson-python>=0.17']\nbuild-backend = 'mesonpy'\n[project]\nname = 'real-meson'\nversion = '1'\n",
            ),
            (
                "meson.build",
                "project('real-meson', 'c', version: '1')\npy = import('python').find_installation(pure: false)\n\
                 py.extension_module('_native', 'native.c', subdir: 'real_meson', install: true)\n\
                 py.install_sources('real_meson/__init__.py', subdir: 'real_meson')\n",
            ),
            ("native.c", C_EXTENSION),
            ("real_meson/__init__.py", ""),
        ],
        // meson-python wants a version control system for sdists only, but all its users have one.
        tag: Some("1"),
        has: "real_meson/_native",
        check: "from real_meson._native import twice; assert twice(21) == 42",
    }
    .same_as_build();
}

/// What meson-python installs for development builds itself when it is imported, with the Ninja of
/// the build environment, which therefore must be there tomorrow.
#[test]
fn meson_python_builds_when_it_is_imported() {
    let scratch = Scratch::new();
    let project = Project {
        files: &[
            (
                "pyproject.toml",
                "[build-system]\nrequires = ['meson-python>=0.17', 'ninja']\nbuild-backend = 'mesonpy'\n\
                 [project]\nname = 'real-meson'\nversion = '1'\n",
            ),
            (
                "meson.build",
                "project('real-meson', 'c', version: '1')\npy = import('python').find_installation(pure: false)\n\
                 py.extension_module('_native', 'native.c', subdir: 'real_meson', install: true)\n\
                 py.install_sources('real_meson/__init__.py', subdir: 'real_meson')\n",
            ),
            ("native.c", C_EXTENSION),
            ("real_meson/__init__.py", ""),
        ],
        ..Project::default()
    };
    let ours = Ours::new(&project.write(&scratch.path()));
    let venv = Venv::new(&tools().interpreter);
    let report = ours.develop(&venv);
    venv.check("from real_meson._native import twice; assert twice(21) == 42");
    assert_eq!(ours.gc(), [report.env()]);
    let source = ours.directory().join("native.c");
    std::fs::write(source, C_EXTENSION.replace("2 * value", "20 * value")).unwrap();
    venv.check("from real_meson._native import twice; assert twice(21) == 420");
    // And that it is needed: without it, nothing can be imported.
    std::fs::rename(report.env(), scratch.path().join("elsewhere")).unwrap();
    assert!(
        !venv.python().args(["-I", "-c", "import real_meson"]).output().unwrap().status.success()
    );
}

/// scikit-build-core asks for `CMake` and Ninja itself, when the machine has none.
#[test]
fn scikit_build_core_extension() {
    Project {
        files: &[
            (
                "pyproject.toml",
                "[build-system]\nrequires = ['scikit-build-core>=0.10']\nbuild-backend = 'scikit_build_core.build'\n[project]\nname = 'real-skbuild'\nversion = '1'\n",
            ),
            (
                "CMakeLists.txt",
                "cmake_minimum_required(VERSION 3.15...4.0)\nproject(${SKBUILD_PROJECT_NAME} LANGUAGES C)\n\
                 find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)\n\
                 Python_add_library(_native MODULE native.c WITH_SOABI)\ninstall(TARGETS _native DESTINATION real_skbuild)\n",
            ),
            ("native.c", C_EXTENSION),
            ("src/real_skbuild/__init__.py", ""),
        ],
        has: "real_skbuild/_native",
        check: "from real_skbuild._native import twice; assert twice(21) == 42",
        ..Project::default()
    }
    .same_as_build();
}
