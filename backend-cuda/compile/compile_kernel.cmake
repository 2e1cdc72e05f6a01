# Compiles SOURCE, a file of CUDA C, to the fatbin OUTPUT: machine code for ARCHITECTURES (a list), and PTX for
# compute_PTX. COMPILER is nvcc, or nvrtc_compile with NVRTC_ROOT, the folder of its toolkit. OUTPUT.d is the list of
# included files of ours, OUTPUT.txt what the assembler reports about registers and memory. Both are kept in CACHE by the
# contents of these files and by everything else that decides on them.
#
# Spills, local memory and warnings are errors. Products and sums are fused only by fmaf: the bits do not
# depend on the compiler.
get_filename_component(NAME ${SOURCE} NAME_WE)
get_filename_component(FOLDER ${SOURCE} DIRECTORY)
get_filename_component(PROJECT ${FOLDER}/../.. ABSOLUTE)
set(LANGUAGE -std=c++17 -fmad=false -I${PROJECT})
set(ASSEMBLER -v -warn-spills -warn-lmem-usage -Werror)

# Runs a command, whose output becomes TEXT. If it fails, ends with that output but for the assembler's figures.
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE FAILED OUTPUT_VARIABLE TEXT ERROR_VARIABLE TEXT)
  if(FAILED)
    file(REMOVE ${OUTPUT})
    string(REGEX REPLACE "ptxas info[^\n]*\n(    [^\n]*\n)?" "" TEXT "${TEXT}")
    message(FATAL_ERROR "${SOURCE}${FOR}:\n${TEXT}")
  endif()
  set(TEXT "${TEXT}" PARENT_SCOPE)
endfunction()

# Sets KEY. NVIDIA's headers are not listed: the compiler's version stands for them.
function(find_key)
  run(${PREPROCESSOR} -x c -E -MM -MG -MT ${OUTPUT} -MF ${OUTPUT}.d -I${PROJECT} ${SOURCE})
  file(READ ${OUTPUT}.d TEXT)
  string(REGEX REPLACE "^[^:]*:" "" TEXT "${TEXT}")
  string(REPLACE "\\\n" " " TEXT "${TEXT}")
  string(REGEX MATCHALL "[^ \n]+" FILES "${TEXT}")
  file(SHA256 ${CMAKE_CURRENT_LIST_FILE} KEY)
  string(APPEND KEY " ${VERSION} ${ARCHITECTURES} ${PTX}")
  foreach(FILE ${FILES})
    if(EXISTS ${FILE})
      file(SHA256 ${FILE} HASH)
      string(APPEND KEY " ${HASH}")
    endif()
  endforeach()
  string(SHA256 KEY "${KEY}")
  set(KEY ${KEY} PARENT_SCOPE)
endfunction()

# base_of(ARCHITECTURE): sets BASE, the architecture of the PTX from which its machine code is made. Kernels do not
# depend on the card, NVIDIA's headers do: bf16 has instructions from 8.0 on, and more from 9.0 on. Later steps would
# only take time.
function(base_of ARCHITECTURE)
  list(GET ARCHITECTURES 0 BASE)
  foreach(STEP 80 90)
    if(BASE LESS STEP AND NOT ARCHITECTURE LESS STEP)
      set(BASE ${STEP})
    endif()
  endforeach()
  set(BASE ${BASE} PARENT_SCOPE)
endfunction()

function(compile_with_nvcc)
  set(TARGETS)
  foreach(ARCHITECTURE ${ARCHITECTURES})
    base_of(${ARCHITECTURE})
    list(APPEND TARGETS -gencode arch=compute_${BASE},code=sm_${ARCHITECTURE})
  endforeach()
  # The compiler of the host may be newer than nvcc: no code of the host is compiled.
  list(JOIN ASSEMBLER "," ASSEMBLER)
  run(${COMPILER} -fatbin --no-compress -allow-unsupported-compiler ${LANGUAGE} -Werror=all-warnings -Wno-deprecated-gpu-targets
    -Xptxas ${ASSEMBLER} ${TARGETS} -gencode arch=compute_${PTX},code=compute_${PTX}
    -o ${OUTPUT}.new ${SOURCE})
  file(WRITE ${OUTPUT}.txt "${TEXT}")
endfunction()

# Writes OUTPUT.ARCHITECTURE.ptx, unless it is there.
function(make_ptx ARCHITECTURE)
  set(FILE ${OUTPUT}.${ARCHITECTURE}.ptx)
  if(EXISTS ${FILE})
    return()
  endif()
  run(${COMPILER} ptx ${SOURCE} ${FILE} --gpu-architecture=compute_${ARCHITECTURE} ${LANGUAGE} -I${FOLDER}
    -I${NVRTC_ROOT}/include)
  # NVRTC has no option against this one.
  string(REGEX REPLACE "nvrtc: warning: Architectures prior to [^\n]*\n" "" TEXT "${TEXT}")
  string(STRIP "${TEXT}" TEXT)
  if(TEXT)
    file(REMOVE ${FILE})
    message(FATAL_ERROR "${SOURCE}: warnings are errors\n${TEXT}")
  endif()
endfunction()

function(remove_parts)
  file(GLOB PARTS ${OUTPUT}.*.cubin ${OUTPUT}.*.ptx)
  foreach(PART ${PARTS})
    file(REMOVE ${PART})
  endforeach()
endfunction()

function(compile_with_nvrtc)
  remove_parts()
  make_ptx(${PTX})
  set(ITEMS compute_${PTX}=${OUTPUT}.${PTX}.ptx)
  set(ALL "")
  foreach(ARCHITECTURE ${ARCHITECTURES})
    set(FOR " for sm_${ARCHITECTURE}")
    base_of(${ARCHITECTURE})
    make_ptx(${BASE})
    set(CUBIN ${OUTPUT}.${ARCHITECTURE}.cubin)
    run(${NVRTC_ROOT}/bin/ptxas ${ASSEMBLER} -arch=sm_${ARCHITECTURE} ${OUTPUT}.${BASE}.ptx -o ${CUBIN})
    string(APPEND ALL "${TEXT}")
    list(APPEND ITEMS sm_${ARCHITECTURE}=${CUBIN})
  endforeach()
  run(${COMPILER} pack ${OUTPUT}.new ${ITEMS})
  file(WRITE ${OUTPUT}.txt "${ALL}")
  remove_parts()
endfunction()

# Two builds may keep the same file at the same time.
function(keep FILE KEPT)
  string(RANDOM LENGTH 12 WORD)
  file(COPY_FILE ${FILE} ${KEPT}.${WORD})
  file(RENAME ${KEPT}.${WORD} ${KEPT})
endfunction()

find_key()
set(KEPT ${CACHE}/${NAME}-${KEY}.fatbin)
if(NOT EXISTS ${KEPT})
  if(NVRTC_ROOT)
    compile_with_nvrtc()
  else()
    compile_with_nvcc()
  endif()
  file(MAKE_DIRECTORY ${CACHE})
  keep(${OUTPUT}.txt ${KEPT}.txt)
  keep(${OUTPUT}.new ${KEPT})
  file(REMOVE ${OUTPUT}.new)
endif()
file(COPY_FILE ${KEPT}.txt ${OUTPUT}.txt)
file(COPY_FILE ${KEPT} ${OUTPUT})
