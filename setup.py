"""Builds the one extension, the runner; everything else about the package stands in pyproject.toml."""

import shutil
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import PlatformError

REMEDY = {
    "linux": "Install one: `apt install g++ python3-dev` (Debian, Ubuntu), "
    "`dnf install gcc-c++ python3-devel` (Fedora), `apk add g++ musl-dev python3-dev` (Alpine).",
    "darwin": "Install Apple's command line tools: `xcode-select --install`.",
    "win32": "Install the Visual Studio Build Tools with the workload 'Desktop development with C++': "
    "https://visualstudio.microsoft.com/visual-cpp-build-tools/",
}


class BuildRunner(build_ext):
    """build_ext that says in one sentence that there is no compiler."""

    def build_extensions(self):
        if self.compiler.compiler_type == "msvc":
            try:
                self.compiler.initialize()
            except PlatformError:
                missing("Visual C++")
        else:
            command = self.compiler.compiler_so_cxx or self.compiler.compiler_so
            if shutil.which(command[0]) is None:
                missing(f"`{command[0]}`")
            for extension in self.extensions:  # Apple's clang still begins at C++98
                extension.extra_compile_args.append("-std=c++11")
        super().build_extensions()


def missing(compiler):
    platform = "linux" if sys.platform not in REMEDY else sys.platform
    raise SystemExit(f"fastnet needs a C++ compiler to build, and {compiler} was not found. {REMEDY[platform]}")


runner = Extension(
    "fastnet.engine._runner",
    ["fastnet/engine/_runner.pyx"],
    depends=["fastnet/engine/_team.h"],
    include_dirs=["fastnet/engine"],
    language="c++",
)

setup(ext_modules=cythonize([runner], build_dir="build"), cmdclass={"build_ext": BuildRunner})
