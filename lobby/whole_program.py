"""Compile a function and all that it calls as one program, with numba.

    usual                                            here
    each function: typed, lowered, optimised,        each function: typed, lowered
    to machine code, stored                          the program: linked, optimised, to machine code, stored

numba makes machine code for every function that another one calls, and optimises it again within each caller. Within
``compile_whole`` only the functions that Python calls get machine code, and they alone are stored. It takes half the
CPU time. The bits of the results are the same, as long as no function is compiled with ``fastmath`` or takes an element
by a negative index: what is a place from the end in numba's own way is outside of the array here.

Functions that were compiled as parts have no entry from Python: a process that compiles so must end afterwards. The
module uses inner parts of numba; where they are missing, server/solver/kernels.py compiles in the usual way.
"""

# mypy: allow-untyped-defs, allow-untyped-calls, disable-error-code="attr-defined, misc"

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from llvmlite import ir as llvm  # type: ignore[import-untyped]
from numba import _dynfunc
from numba.core import cgutils, ir, types
from numba.core.caching import Cache
from numba.core.codegen import JITCodeLibrary
from numba.core.cpu import CPUContext
from numba.core.registry import cpu_target
from numba.core.runtime.context import NRTContext
from numba.core.targetconfig import ConfigStack, TargetConfig
from numba.core.types.functions import BaseFunction
from numba.np import arrayobj

__all__ = ["compare_quickly", "compile_whole"]

PLAIN = frozenset({str, int, bool, float, type(None), ir.Loc})
"""Types of what an instruction has besides variables."""

CHECK_INDICES = "TUSSLE_CHECK_INDICES"
"""The environment variable with which a program ends at an index outside of its array."""

WRAPPERS = frozenset({"no_cpython_wrapper", "no_cfunc_wrapper", "forceinline"})
"""Options by which two compilations of one function of numba do not differ."""


class ProgramPart(JITCodeLibrary):
    """The code of one function. ``whole``: it is the program of a function that Python calls."""

    whole = False

    def finalize(self) -> None:
        """As a part: nothing is linked or optimised."""
        self._raise_if_finalized()
        for library in self._linking_libraries:
            self._reload_init.update(library._reload_init)
        self._finalized = True

    def complete(self) -> None:
        """As a program: link all parts, optimise, and make machine code."""
        self._raise_if_finalized()
        self.whole = True
        for library in self._linked():
            self._reload_init.update(library._reload_init)
            module = library._get_module_for_linking()
            self._final_module.link_in(module, preserve=True)
        self._optimize_final_module()
        self._final_module.verify()
        self._finalize_final_module()

    def _linked(self) -> list[Any]:
        """All libraries that this one needs, each before those that it needs itself: a definition is only linked where
        a use of it is already there."""
        seen: set[Any] = set()
        order: list[Any] = []

        def visit(one: Any) -> None:
            seen.add(one)
            if isinstance(one, ProgramPart) and (one is self or not one.whole):
                for library in one._linking_libraries:
                    if library not in seen:
                        visit(library)
            order.append(one)

        visit(self)
        return order[-2::-1]

    def _get_module_for_linking(self):
        if self.whole:
            return super()._get_module_for_linking()
        if self._shared_module is None:
            for function in self._final_module.functions:
                if not function.is_declaration and function.linkage.name == "external":
                    function.linkage = "linkonce_odr"
            self._shared_module = self._final_module
        return self._shared_module


def _is_part() -> bool:
    """Whether the function that is being compiled is called by another one, or is not for Python."""
    stack = ConfigStack()
    return len(stack) > 1 or (len(stack) == 1 and stack.top().no_cpython_wrapper)


@contextmanager
def compare_quickly(ignored: frozenset[str] = frozenset()) -> Iterator[None]:
    """Until the end of the block, compare the options of two compilations without making two dictionaries of all of
    them, as numba does: a third of the time of ``compile_whole``. ``ignored``: options that may differ; without any the
    machine code is the same.

    Raises AttributeError or ImportError with a numba of another structure.
    """

    def equal(self, other):
        if self is other:
            return True
        if not isinstance(other, TargetConfig):
            return NotImplemented
        if self._values == other._values:
            return True
        names = (self._values.keys() | other._values.keys()) - ignored
        return all(getattr(self, name) == getattr(other, name) for name in names)

    with _replaced((TargetConfig, "__eq__", equal), (TargetConfig, "__hash__", lambda self: 1)):
        yield


@contextmanager
def _replaced(*replaced: tuple[Any, str, Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, name, value in replaced:
            stack.callback(setattr, owner, name, getattr(owner, name))
            setattr(owner, name, value)
        yield


@contextmanager
def compile_whole(count: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Compile in this way until the end of the block. ``count`` is called for each function.

    The parts are useless afterwards. Raises AttributeError or ImportError with a numba of another structure.
    """
    executable, wrapper, save = (
        CPUContext.get_executable,
        CPUContext.create_cpython_wrapper,
        Cache.save_overload,
    )

    def get_executable(self, library, description, environment):
        if not _is_part():
            if not library._finalized:
                library.complete()
            return executable(self, library, description, environment)
        count()
        library._ensure_finalized()
        name = description.qualname.rpartition(".")[2]
        return _dynfunc.make_function(description.lookup_module(), name, "", 0, environment, (library,))

    def create_cpython_wrapper(self, *arguments, **options):
        if not _is_part():
            wrapper(self, *arguments, **options)

    def save_overload(self, signature, result):
        if result.library.whole:
            save(self, signature, result)

    whole = _replaced(
        (cpu_target.target_context.codegen(), "_library_class", ProgramPart),
        (CPUContext, "get_executable", get_executable),
        (CPUContext, "create_cpython_wrapper", create_cpython_wrapper),
        (CPUContext, "create_cfunc_wrapper", lambda self, *arguments, **options: None),
        (Cache, "save_overload", save_overload),
    )
    with whole, compare_quickly(WRAPPERS), _typed_once(), _count_uses_briefly(), _elements_directly():
        yield


@contextmanager
def _count_uses_briefly() -> Iterator[None]:
    """Until the end of the block, take from an array only what counts its uses where numba changes that count.

    numba takes all nine fields, which nothing uses: a fifth of the instructions that it gives to LLVM.
    """
    counted: dict[Any, bool] = {}

    def get_meminfos(self, builder, kind, value):
        model = self._context.data_model_manager[kind]
        found = [(kind, model.get_nrt_meminfo(builder, value))] if model.has_nrt_meminfo() else []
        for part, take in model.traverse(builder):
            if part not in counted:
                counted[part] = self._context.data_model_manager[part].contains_nrt_meminfo()
            if counted[part]:
                found += get_meminfos(self, builder, part, take(value))
        return found

    with _replaced((NRTContext, "get_meminfos", get_meminfos)):
        yield


def _place(context, builder, kind, index, size):
    """Return the place of an index along one axis. It may not count from the end: that would take three instructions at
    each use, a sixth of the time of a step.
    """
    place = context.cast(builder, index, kind, types.intp)
    if CHECK_INDICES in os.environ:
        below = builder.icmp_signed("<", place, llvm.Constant(place.type, 0))
        outside = builder.or_(below, builder.icmp_signed(">=", place, size))
        with builder.if_then(outside, likely=False):
            stop = llvm.FunctionType(llvm.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, stop, "llvm.trap"), [])
    return place


def _element(context, builder, kind, array, index_kind, index):
    """Return the address of an element of a contiguous array. Returns None for what is not a single element."""
    kinds, indices = (index_kind,), (index,)
    if isinstance(index_kind, types.BaseTuple):
        kinds, indices = index_kind.types, cgutils.unpack_tuple(builder, index, len(index_kind))
    if (
        kind.layout != "C"
        or len(kinds) != kind.ndim
        or not all(isinstance(one, types.Integer) for one in kinds)
    ):
        return None
    model = context.data_model_manager[kind]
    data = model.get(builder, array, "data")
    shape = cgutils.unpack_tuple(builder, model.get(builder, array, "shape"), kind.ndim)
    places = [_place(context, builder, *one) for one in zip(kinds, indices, shape, strict=True)]
    return cgutils.get_item_pointer2(context, builder, data, shape, (), "C", places)


@contextmanager
def _elements_directly() -> Iterator[None]:
    """Until the end of the block, compute the address of an element from the fields of its array.

    numba copies the array to memory first, and reads the fields that it needs, and others, from there.
    """

    def read(usual):
        def lower(context, builder, signature, arguments):
            address = None
            if not context.enable_boundscheck:
                address = _element(
                    context, builder, signature.args[0], arguments[0], signature.args[1], arguments[1]
                )
            if address is None:
                return usual(context, builder, signature, arguments)
            return arrayobj.load_item(context, builder, signature.args[0], address)

        return lower

    def write(context, builder, signature, arguments):
        kind, index_kind, value_kind = signature.args
        address = None
        if not context.enable_boundscheck:
            address = _element(context, builder, kind, arguments[0], index_kind, arguments[1])
        if address is None:
            return arrayobj.setitem_array(context, builder, signature, arguments)
        value = context.cast(builder, arguments[2], value_kind, kind.dtype)
        return arrayobj.store_item(context, builder, kind, value, address)

    added = [
        (operator.getitem, (types.Array, types.Integer), read(arrayobj.getitem_arraynd_intp)),
        (operator.getitem, (types.Array, types.BaseTuple), read(arrayobj.getitem_array_tuple)),
        (operator.setitem, (types.Array, types.Any, types.Any), write),
    ]
    context = cpu_target.target_context
    context.insert_func_defn([(lower, function, kinds) for function, kinds, lower in added])
    try:
        yield
    finally:
        for function, kinds, lower in added:
            context._defns[function].versions.remove((kinds, lower))
            context._defns[function]._cache.clear()


@contextmanager
def _typed_once() -> Iterator[None]:
    """Until the end of the block, type each call of one of numba's own functions once for the same types of arguments,
    and find the variables of an instruction without asking abstract classes.
    """
    get_call_type, list_vars = BaseFunction.get_call_type, ir.Inst._rec_list_vars
    typed: dict[Any, Any] = {}

    def typed_call(self, context, arguments, names):
        key = self, tuple(arguments), tuple(names.items())
        if key not in typed:
            typed[key] = get_call_type(self, context, arguments, names)
        return typed[key]

    def find_variables(self, value):
        kind = type(value)
        if kind not in (dict, list, tuple):
            return [value] if kind is ir.Var else [] if kind in PLAIN else list_vars(self, value)
        found = []
        for part in value.values() if kind is dict else value:
            if type(part) is ir.Var:
                found.append(part)
            elif type(part) not in PLAIN:
                found += find_variables(self, part)
        return found

    with _replaced(
        (BaseFunction, "get_call_type", typed_call),
        (ir.Inst, "_rec_list_vars", find_variables),
    ):
        yield
