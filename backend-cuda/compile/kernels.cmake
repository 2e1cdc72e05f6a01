# Compiles each kernels/NAME.cu to a fatbin and embeds all of them into the generated file CUDA_KERNELS_C, the table of
# device/cuda_kernels.h. The target p2p_cuda_kernels is the fatbins. Sets P2P_CUDA_COMPILER_VERSION and P2P_CUDA_COMPILED,
# the architectures.
#
# A fatbin has machine code for every card of P2P_CUDA_ARCHITECTURES that the compiler supports, and PTX, which drivers
# compile for cards that are newer than all of these. Machine code runs on later cards of the same generation too (10.0
# on 10.3, 12.0 on 12.1), so PTX is for later generations only; their drivers are newer than the toolkit, as PTX requires.
# An Orin, 8.7, is a Tegra: machine code of other cards does not run on it, and it needs -DP2P_CUDA_ARCHITECTURES=87.
# compute_90 is in every toolkit from 12.0 on, and generations after 9 take it. Toolkit 12.9 has the whole list; 13
# has no 7.0.
set(P2P_CUDA_ARCHITECTURES 70 75 80 86 89 90 100 120 CACHE STRING "Cards for which kernels are compiled")
set(P2P_CUDA_PTX 90)

set(HERE ${CMAKE_CURRENT_SOURCE_DIR}/compile)
set(CUDA_COMPILE ${HERE}/compile_kernel.cmake)
if(P2P_CUDA_NVCC)
  set(CUDA_COMPILER ${P2P_CUDA_NVCC})
  set(NVRTC_ROOT "")
  execute_process(COMMAND ${P2P_CUDA_NVCC} --list-gpu-code OUTPUT_VARIABLE KNOWN RESULT_VARIABLE FAILED)
  execute_process(COMMAND ${P2P_CUDA_NVCC} --version OUTPUT_VARIABLE P2P_CUDA_COMPILER_VERSION)
else()
  add_executable(nvrtc_compile ${HERE}/nvrtc_compile.c)
  target_include_directories(nvrtc_compile SYSTEM PRIVATE ${P2P_CUDA_INCLUDE_DIRS})
  target_compile_options(nvrtc_compile PRIVATE -Wall -Wextra -Wpedantic -Werror)
  target_link_libraries(nvrtc_compile PRIVATE ${P2P_CUDA_NVRTC_LIBRARIES})
  set(CUDA_COMPILER $<TARGET_FILE:nvrtc_compile>)
  set(NVRTC_ROOT ${P2P_CUDA_ROOT})
  execute_process(COMMAND ${P2P_CUDA_ROOT}/bin/ptxas --help OUTPUT_VARIABLE KNOWN RESULT_VARIABLE FAILED)
  execute_process(COMMAND ${P2P_CUDA_ROOT}/bin/ptxas --version OUTPUT_VARIABLE P2P_CUDA_COMPILER_VERSION)
endif()
if(FAILED)
  message(FATAL_ERROR "the compiler in ${P2P_CUDA_ROOT}/bin fails. Try -DP2P_CUDA=OFF, or -DP2P_CUDA_TOOLKIT=FOLDER")
endif()
if(NOT P2P_CUDA_COMPILER_VERSION MATCHES "V([0-9.]+)")
  message(FATAL_ERROR "the compiler in ${P2P_CUDA_ROOT}/bin has no version")
endif()
set(P2P_CUDA_COMPILER_VERSION ${CMAKE_MATCH_1})

set(P2P_CUDA_COMPILED)
set(UNKNOWN)
foreach(ARCHITECTURE ${P2P_CUDA_ARCHITECTURES})
  if(KNOWN MATCHES "sm_${ARCHITECTURE}[^0-9a-z]")
    list(APPEND P2P_CUDA_COMPILED ${ARCHITECTURE})
  else()
    list(APPEND UNKNOWN ${ARCHITECTURE})
  endif()
endforeach()
list(SORT P2P_CUDA_COMPILED COMPARE NATURAL)
list(JOIN P2P_CUDA_COMPILED " " TEXT)
message(STATUS "CUDA kernels by ${P2P_CUDA_COMPILER_VERSION} for compute capabilities ${TEXT}, and PTX for later ones")
if(UNKNOWN)
  list(JOIN UNKNOWN " " TEXT)
  message(STATUS "CUDA kernels without ${TEXT}, which this compiler does not know")
endif()

# Kernels do not depend on the compiler of the host, so build folders share what is compiled.
set(FOLDER ${PROJECT_BINARY_DIR}/cuda-kernels)
if(PROJECT_BINARY_DIR MATCHES "^${PROJECT_SOURCE_DIR}/build/")
  set(FOLDER ${PROJECT_SOURCE_DIR}/build/cuda-kernels)
endif()
set(P2P_CUDA_KERNEL_CACHE ${FOLDER} CACHE PATH "Folder that keeps compiled kernels")

file(GLOB CUDA_KERNELS CONFIGURE_DEPENDS kernels/*.cu)
set(BODY "")
set(TABLE "")
set(FATBINS)
set(NAMES)
foreach(KERNEL ${CUDA_KERNELS})
  get_filename_component(NAME ${KERNEL} NAME_WE)
  set(FATBIN ${CMAKE_CURRENT_BINARY_DIR}/kernels/${NAME}.fatbin)
  add_custom_command(
    OUTPUT ${FATBIN}
    BYPRODUCTS ${FATBIN}.txt
    COMMAND ${CMAKE_COMMAND} -DSOURCE=${KERNEL} -DOUTPUT=${FATBIN} -DCOMPILER=${CUDA_COMPILER}
            -DNVRTC_ROOT=${NVRTC_ROOT} -DVERSION=${P2P_CUDA_COMPILER_VERSION} "-DARCHITECTURES=${P2P_CUDA_COMPILED}"
            -DPTX=${P2P_CUDA_PTX} -DPREPROCESSOR=${CMAKE_C_COMPILER} -DCACHE=${P2P_CUDA_KERNEL_CACHE} -P ${CUDA_COMPILE}
    DEPENDS ${KERNEL} ${CUDA_COMPILE}
    DEPFILE ${FATBIN}.d
    COMMENT "Compiling CUDA kernels of ${NAME}.cu"
    VERBATIM)
  list(APPEND FATBINS ${FATBIN})
  list(APPEND NAMES ${NAME})
  string(APPEND BODY "EMBED(${NAME}, \"${FATBIN}\")\n")
  string(APPEND TABLE "    {\"${NAME}\", cuda_image_${NAME}, cuda_image_${NAME}_end},\n")
endforeach()
add_custom_target(p2p_cuda_kernels DEPENDS ${FATBINS})
# For ci/cuda_code.py.
list(JOIN P2P_CUDA_COMPILED " " TEXT)
list(JOIN NAMES " " NAMES)
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/kernels/compiler.txt "${P2P_CUDA_COMPILER_VERSION}\n${TEXT}\n${NAMES}\n")

set(CUDA_KERNELS_C ${CMAKE_CURRENT_BINARY_DIR}/cuda_kernels.c)
configure_file(${HERE}/cuda_kernels.c.in ${CUDA_KERNELS_C} @ONLY)
set_source_files_properties(${CUDA_KERNELS_C} PROPERTIES OBJECT_DEPENDS "${FATBINS}")
