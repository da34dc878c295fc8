# The CUDA backend: the library `modelwatch_cuda` and the Python module `_cuda`.
#
# MODELWATCH_CUDA = AUTO  where nvcc is found (CUDACXX, CUDA_PATH, CUDA_HOME, PATH, PyPI's in the environment of the
#                         build, /usr/local/cuda)
#                   ON    or fail
#                   OFF   never
# Sets MODELWATCH_HAS_CUDA.

set(MODELWATCH_HAS_CUDA OFF)
if(MODELWATCH_CUDA STREQUAL "OFF")
  return()
endif()
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  # scikit-build-core puts the environment's packages there.
  list(TRANSFORM CMAKE_PREFIX_PATH APPEND /nvidia/cu13 OUTPUT_VARIABLE from_pypi)
  find_program(MODELWATCH_NVCC nvcc HINTS ENV CUDA_PATH ENV CUDA_HOME PATHS ${from_pypi} /usr/local/cuda PATH_SUFFIXES bin)
  if(MODELWATCH_NVCC)
    set(CMAKE_CUDA_COMPILER ${MODELWATCH_NVCC})
  endif()
endif()
# PyPI's toolkit has its libraries in lib, where its nvcc does not look, and the shared runtime, which CMake asks for, only
# with a version in its name.
set(nvcc "${CMAKE_CUDA_COMPILER}")
if(NOT nvcc)
  set(nvcc "$ENV{CUDACXX}")
endif()
file(REAL_PATH "${nvcc}" nvcc)
cmake_path(GET nvcc PARENT_PATH toolkit)
cmake_path(GET toolkit PARENT_PATH toolkit)
file(GLOB shared_runtime ${toolkit}/lib/libcudart.so.1?)
if(shared_runtime AND NOT EXISTS ${toolkit}/lib64 AND NOT EXISTS ${toolkit}/lib/libcudart.so)
  set(ENV{LIBRARY_PATH} "${toolkit}/lib:$ENV{LIBRARY_PATH}")
  set(CUDAToolkit_ROOT ${toolkit})
  set(CUDA_CUDART ${shared_runtime} CACHE FILEPATH "The shared CUDA runtime")
endif()
# Turing and later, which is what CUDA 13 knows; the last one as PTX too, for what comes after it.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 75-real 80-real 86-real 89-real 90-real 100-real 120)
endif()
include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  if(MODELWATCH_CUDA STREQUAL "ON")
    message(FATAL_ERROR "MODELWATCH_CUDA=ON, but no nvcc was found; put it on PATH or name it in CUDACXX, or use AUTO or OFF.")
  endif()
  message(STATUS "No nvcc: without the CUDA backend")
  return()
endif()
enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
# nvcc 13 makes C++20 of host and device code from this version on.
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.4)
  if(MODELWATCH_CUDA STREQUAL "ON")
    message(FATAL_ERROR "MODELWATCH_CUDA=ON needs nvcc 12.4 or newer; ${CMAKE_CUDA_COMPILER} is ${CMAKE_CUDA_COMPILER_VERSION}.")
  endif()
  message(STATUS "nvcc ${CMAKE_CUDA_COMPILER_VERSION} is too old: without the CUDA backend")
  return()
endif()
set(MODELWATCH_HAS_CUDA ON)

# Which runtime is linked: NVIDIA's static one, or the tests' stand-in (tests/ptx).
set(MODELWATCH_CUDART "CUDA::cudart_static" CACHE STRING "The library that stands for the CUDA runtime")
find_package(CUDAToolkit REQUIRED)
set(CMAKE_CUDA_RUNTIME_LIBRARY None)

add_library(modelwatch_cuda_options INTERFACE)
target_include_directories(modelwatch_cuda_options INTERFACE ${CMAKE_CURRENT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR}/cpp)
# System headers of the toolkit are not ours to warn about.
target_include_directories(modelwatch_cuda_options SYSTEM INTERFACE ${CUDAToolkit_INCLUDE_DIRS})
# No fused multiply-add where the source has none: the same bits as on the CPU.
target_compile_options(modelwatch_cuda_options INTERFACE
  $<$<COMPILE_LANGUAGE:CUDA>:--fmad=false -lineinfo -Xcompiler=-Wall,-Wextra,-ffp-contract=off>
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wshadow -Wconversion -ffp-contract=off>)
if(MODELWATCH_WERROR)
  target_compile_options(modelwatch_cuda_options INTERFACE
    $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings -Xcompiler=-Werror>
    $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()

file(GLOB MODELWATCH_CUDA_KERNELS CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/kernels/*.cu)
file(GLOB MODELWATCH_CUDA_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/runtime/*.cpp ${CMAKE_CURRENT_SOURCE_DIR}/cuda/backend/*.cpp)
add_library(modelwatch_cuda STATIC ${MODELWATCH_CUDA_KERNELS} ${MODELWATCH_CUDA_SOURCES})
target_link_libraries(modelwatch_cuda PUBLIC modelwatch_engine modelwatch_cuda_options ${MODELWATCH_CUDART})

if(SKBUILD)
  file(GLOB MODELWATCH_CUDA_BINDING CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/binding/*.cpp)
  pybind11_add_module(_cuda ${MODELWATCH_CUDA_BINDING})
  target_link_libraries(_cuda PRIVATE modelwatch_cuda)
  string(REPLACE ";" " " targets "${CMAKE_CUDA_ARCHITECTURES}")
  target_compile_definitions(_cuda PRIVATE MODELWATCH_CUDA_VERSION="${CMAKE_CUDA_COMPILER_VERSION}" MODELWATCH_CUDA_TARGETS="${targets}")
  install(TARGETS _cuda LIBRARY DESTINATION modelwatch_gpu)
endif()
