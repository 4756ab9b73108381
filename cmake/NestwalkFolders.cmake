# nestwalk_folder(NAME [DEPENDS FOLDER...]): one static library a folder, `nw_NAME`, whose sources, private
# definitions and third-party libraries are given by NAME/CMakeLists.txt through nestwalk_sources() and
# target_* calls on nw_NAME. A folder that has no sources yet is an interface library: it still carries the
# dependency law, so that the first file added to it obeys it.
find_package(PkgConfig REQUIRED)

add_library(nestwalk_flags INTERFACE)
target_compile_definitions(nestwalk_flags INTERFACE _GNU_SOURCE)
target_compile_options(nestwalk_flags INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wundef
                       -fno-strict-aliasing)
if(NESTWALK_WERROR)
  target_compile_options(nestwalk_flags INTERFACE -Werror)
endif()
if(NESTWALK_SANITIZE)
  target_compile_options(nestwalk_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
                         -fno-omit-frame-pointer)
  target_link_options(nestwalk_flags INTERFACE -fsanitize=address,undefined)
endif()
if(NESTWALK_FUZZ)
  target_compile_options(nestwalk_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()

set_property(GLOBAL PROPERTY NESTWALK_FOLDERS "")

function(nestwalk_folder name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  set(NESTWALK_SOURCES "")
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_SOURCE_DIR}/${name}/*.c")
  if(sources OR EXISTS "${CMAKE_SOURCE_DIR}/${name}/include")
    add_library(nw_${name} STATIC ${sources})
    set(scope PUBLIC)
    target_include_directories(nw_${name} PUBLIC "${CMAKE_SOURCE_DIR}/${name}/include"
                               PRIVATE "${CMAKE_SOURCE_DIR}/${name}")
    target_link_libraries(nw_${name} PRIVATE nestwalk_flags)
    set_target_properties(nw_${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    set_property(GLOBAL APPEND PROPERTY NESTWALK_FOLDERS ${name})
  else()
    add_library(nw_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  foreach(dep IN LISTS ARG_DEPENDS)
    target_link_libraries(nw_${name} ${scope} nw_${dep})
  endforeach()
  if(EXISTS "${CMAKE_SOURCE_DIR}/${name}/CMakeLists.txt")
    add_subdirectory(${name})
  endif()
endfunction()

# nestwalk_use(FOLDER pkg-config-module...): the one place where a folder names the third-party libraries it uses.
# They are private: no public header of a folder shows a third-party type.
function(nestwalk_use folder)
  foreach(module IN LISTS ARGN)
    string(MAKE_C_IDENTIFIER "PC_${module}" var)
    pkg_check_modules(${var} REQUIRED IMPORTED_TARGET ${module})
    target_link_libraries(nw_${folder} PRIVATE PkgConfig::${var})
    set_property(GLOBAL APPEND PROPERTY NESTWALK_PC_LIBS ${${var}_LDFLAGS}) # for nestwalk.pc
  endforeach()
  cmake_language(EVAL CODE "cmake_language(DEFER CALL nestwalk_generate_sources ${folder})")
endfunction()

# A folder's library is made in the root's scope and its generated sources in the folder's own, where alone the rules that make
# them are known: so the folder has a target that makes them, before the library is compiled.
function(nestwalk_generate_sources folder)
  get_target_property(sources nw_${folder} SOURCES)
  list(FILTER sources INCLUDE REGEX "^${CMAKE_CURRENT_BINARY_DIR}/")
  if(sources)
    file(RELATIVE_PATH place "${CMAKE_BINARY_DIR}" "${CMAKE_CURRENT_BINARY_DIR}")
    string(MAKE_C_IDENTIFIER "generated_${place}" target)
    add_custom_target(${target} DEPENDS ${sources})
    add_dependencies(nw_${folder} ${target})
  endif()
endfunction()
