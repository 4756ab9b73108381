# cmake -DSOURCES=<list> -DOUTPUT=<file> -P CollectCommands.cmake
# Makes the list of commands from the sources that define them, `const struct nw_command nw_cmd_NAME`, so that adding a command
# is adding a file. This order is the one of --help and the manual; commands not named here follow it alphabetically.
cmake_minimum_required(VERSION 3.25)

set(order capture import gen trace_info trace_dump trace_verify trace_repair trace_cut run sweep compare report explain_walk
    explain_tree conform iommu_check iommu_walk iommu_explain iommu_draw reclaim host validate validate_shadow help)

set(found "")
foreach(source IN LISTS SOURCES)
  file(STRINGS "${source}" lines REGEX "^const struct nw_command nw_cmd_[a-z0-9_]+")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^const struct nw_command nw_cmd_([a-z0-9_]+).*" "\\1" name "${line}")
    list(APPEND found ${name})
  endforeach()
endforeach()
list(SORT found)
set(sorted "")
foreach(name IN LISTS order)
  if(name IN_LIST found)
    list(APPEND sorted ${name})
    list(REMOVE_ITEM found ${name})
  endif()
endforeach()
# `help` stays last.
if(found AND sorted MATCHES "(^|;)help$")
  list(REMOVE_ITEM sorted help)
  list(APPEND found help)
endif()
list(APPEND sorted ${found})

set(text "/* Generated from the cmd_*.c files by cmake/CollectCommands.cmake. */\n#include \"cli.h\"\n#include <stddef.h>\n\n")
foreach(name IN LISTS sorted)
  string(APPEND text "extern const struct nw_command nw_cmd_${name};\n")
endforeach()
string(APPEND text "\nconst struct nw_command *const nw_commands[] = {\n")
foreach(name IN LISTS sorted)
  string(APPEND text "    &nw_cmd_${name},\n")
endforeach()
string(APPEND text "    NULL,\n};\n")
file(WRITE "${OUTPUT}.new" "${text}")
file(COPY_FILE "${OUTPUT}.new" "${OUTPUT}" ONLY_IF_DIFFERENT)
file(REMOVE "${OUTPUT}.new")
