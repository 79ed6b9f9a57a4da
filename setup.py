"""Builds the extensions, the runner above all; everything else about the package stands in pyproject.toml."""

import os
import shutil
import sys

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py
from setuptools.errors import CompileError, LinkError, PlatformError

REMEDY = {
    "linux": "Install them: `apt install gcc python3-dev` (Debian, Ubuntu), "
    "`dnf install gcc python3-devel` (Fedora), `apk add gcc musl-dev python3-dev` (Alpine).",
    "darwin": "Install Apple's command line tools: `xcode-select --install`.",
    "win32": "Install the Visual Studio Build Tools with the workload 'Desktop development with C++': "
    "https://visualstudio.microsoft.com/visual-cpp-build-tools/",
}


class BuildRunner(build_ext):
    """build_ext that says in one sentence what is missing to compile with, or what of it does not work."""

    def build_extensions(self):
        if self.compiler.compiler_type == "msvc":
            try:
                self.compiler.initialize()
            except PlatformError:
                stop("Visual C++ was not found")
            command = "Visual C++"
        else:
            command = f"`{self.compiler.compiler_so[0]}`"
            if shutil.which(self.compiler.compiler_so[0]) is None:
                stop(f"{command} was not found")
        try:
            super().build_extensions()
        except (CompileError, LinkError):
            if not any(os.path.exists(os.path.join(folder, "Python.h")) for folder in self.include_dirs):
                stop("`Python.h` was not found")
            stop(f"the compiler {command} failed; its command and what it printed stand above")


def stop(reason):
    remedy = REMEDY.get(sys.platform, REMEDY["linux"])
    raise SystemExit(f"fastnet needs a C compiler and Python's headers to build; {reason}. {remedy}")


class BuildPackages(build_py):
    """build_py that adds the folder bench to a wheel, as a package of fastnet's; a checkout has it at the top."""

    def finalize_options(self):
        super().finalize_options()
        if not self.editable_mode:
            self.packages = [*self.packages, "fastnet._bench"]
            self.package_dir = {**self.package_dir, "fastnet._bench": "bench"}


runner = Extension(
    "fastnet.engine._runner",
    ["fastnet/engine/_runner.pyx"],
    depends=["fastnet/engine/_team.h", "fastnet/engine/_platform.h"],
    include_dirs=["fastnet/engine"],
)

arrays = Extension("fastnet._arrays", ["fastnet/_arrays.pyx"])

setup(
    ext_modules=cythonize([runner, arrays], build_dir="build"),
    cmdclass={"build_ext": BuildRunner, "build_py": BuildPackages},
)
