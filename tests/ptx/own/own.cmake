# Kernels and programs of the machine's own checks, compiled by nvcc for each target of PTX_ARCHS.
# compute_75 to 90 give nearly the same text; 100 and 120 come from a newer front end: one of each is the least.
set(PTX_ARCHS "75;100" CACHE STRING "Compute capabilities whose PTX the machine's own checks run")

set(own_folder ${CMAKE_CURRENT_BINARY_DIR}/own)
file(MAKE_DIRECTORY ${own_folder})
set(own_outputs)
foreach(arch IN LISTS PTX_ARCHS)
  foreach(kernel hist scan rbf cub_block bugs races lines)
    set(source ${CMAKE_CURRENT_SOURCE_DIR}/kernels/${kernel}.cu)
    set(output ${own_folder}/${kernel}.${arch}.ptx)
    add_custom_command(OUTPUT ${output} DEPENDS ${source} VERBATIM
                       COMMAND ${PTX_NVCC} -std=c++17 -ptx -lineinfo -arch=compute_${arch} -o ${output} ${source})
    list(APPEND own_outputs ${output})
  endforeach()
endforeach()

# Whole programs: an executable per front end.
foreach(arch IN LISTS PTX_ARCHS)
  if(NOT arch MATCHES "^(75|100)$")
    continue()
  endif()
  foreach(program runtime_test device_library_test devices_test)
    set(source ${CMAKE_CURRENT_SOURCE_DIR}/own/${program}.cu)
    set(object ${own_folder}/${program}.${arch}.o)
    add_custom_command(OUTPUT ${object} VERBATIM
      DEPENDS ${source} ${CMAKE_CURRENT_SOURCE_DIR}/runtime/ptx_runtime.h
      COMMAND ${PTX_NVCC} -std=c++17 -c -lineinfo --compress-mode=none -gencode arch=compute_${arch},code=compute_${arch}
              -I${CMAKE_CURRENT_SOURCE_DIR}/runtime -o ${object} ${source})
    set(name ptx_${program}_${arch})
    add_executable(${name} ${object})
    target_link_libraries(${name} PRIVATE ptx_cudart)
    set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX RUNTIME_OUTPUT_DIRECTORY ${own_folder}
                          OUTPUT_NAME ${program}.${arch})
    list(APPEND own_programs ${name})
  endforeach()
endforeach()

add_custom_target(ptx_own DEPENDS ${own_outputs})
add_dependencies(ptx_own ptx_machine ptx_cudart_shared ${own_programs})
