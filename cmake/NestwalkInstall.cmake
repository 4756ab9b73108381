# libnestwalk: all folders in one static library, its public headers, and the pkg-config file.
get_property(folders GLOBAL PROPERTY NESTWALK_FOLDERS)
set(objects "")
foreach(folder IN LISTS folders)
  list(APPEND objects $<TARGET_OBJECTS:nw_${folder}>)
  install(DIRECTORY "${CMAKE_SOURCE_DIR}/${folder}/include/nestwalk" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
          FILES_MATCHING PATTERN "*.h")
endforeach()
add_library(libnestwalk STATIC ${objects})
set_target_properties(libnestwalk PROPERTIES OUTPUT_NAME nestwalk LINKER_LANGUAGE C)
install(TARGETS libnestwalk ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(TARGETS nestwalk RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")

get_property(requires GLOBAL PROPERTY NESTWALK_PC_REQUIRES)
list(REMOVE_DUPLICATES requires)
list(JOIN requires " " NESTWALK_PC_REQUIRES_TEXT)
configure_file("${CMAKE_SOURCE_DIR}/cmake/nestwalk.pc.in" "${CMAKE_BINARY_DIR}/nestwalk.pc" @ONLY)
install(FILES "${CMAKE_BINARY_DIR}/nestwalk.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
