# Compiles SOURCE, a file of CUDA C, to the fatbin OUTPUT with NVCC: machine code for ARCHITECTURES (a list), and PTX for
# compute_PTX. OUTPUT.d is the list of included files of ours. A fatbin is kept in CACHE by the contents of these
# files and by everything else that decides on it. Spills and local memory are errors. Products and sums are fused only
# where fmaf says so: the bits do not depend on the compiler.
get_filename_component(NAME ${SOURCE} NAME_WE)
get_filename_component(FOLDER ${SOURCE} DIRECTORY)
get_filename_component(PROJECT ${FOLDER}/../.. ABSOLUTE)
set(FLAGS -fatbin --no-compress -O3 -std=c++17 -fmad=false -I${PROJECT} -Xptxas
  -warn-spills,-warn-lmem-usage,-Werror -Werror=all-warnings)
foreach(ARCHITECTURE ${ARCHITECTURES})
  list(APPEND FLAGS -gencode arch=compute_${ARCHITECTURE},code=sm_${ARCHITECTURE})
endforeach()
list(APPEND FLAGS -gencode arch=compute_${PTX},code=compute_${PTX})

# Runs a command; ends with its output if it fails.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE FAILED OUTPUT_VARIABLE TEXT ERROR_VARIABLE TEXT)
  if(FAILED)
    file(REMOVE ${OUTPUT})
    message(FATAL_ERROR "${SOURCE}:\n${TEXT}")
  endif()
endfunction()

# Headers of NVIDIA stand for their version.
run(${PREPROCESSOR} -x c -E -MM -MG -MT ${OUTPUT} -MF ${OUTPUT}.d -I${PROJECT} ${SOURCE})
file(READ ${OUTPUT}.d TEXT)
string(REGEX REPLACE "^[^:]*:" "" TEXT "${TEXT}")
string(REGEX REPLACE "\\\\\n" " " TEXT "${TEXT}")
string(REGEX MATCHALL "[^ \n]+" FILES "${TEXT}")
execute_process(COMMAND ${NVCC} --version OUTPUT_VARIABLE KEY)
string(APPEND KEY "${NAME} ${FLAGS}\n")
foreach(FILE ${FILES})
  if(EXISTS ${FILE})
    file(SHA256 ${FILE} HASH)
    string(APPEND KEY "${HASH}\n")
  endif()
endforeach()
string(REPLACE "${PROJECT}" "" KEY "${KEY}")
string(SHA256 KEY "${KEY}")

set(KEPT ${CACHE}/${NAME}-${KEY}.fatbin)
if(NOT EXISTS ${KEPT})
  run(${NVCC} ${FLAGS} -o ${OUTPUT}.new ${SOURCE})
  file(MAKE_DIRECTORY ${CACHE})
  file(COPY_FILE ${OUTPUT}.new ${KEPT}.${KEY})
  file(RENAME ${KEPT}.${KEY} ${KEPT})
  file(REMOVE ${OUTPUT}.new)
endif()
file(COPY_FILE ${KEPT} ${OUTPUT})
