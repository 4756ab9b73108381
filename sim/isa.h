/* isa.h - private to sim/: which instruction set the loops use that are compiled once for each. */
#ifndef NW_SIM_ISA_H
#define NW_SIM_ISA_H

enum isa { ISA_PORTABLE, ISA_AVX2, ISA_AVX512 };

/* The best that this machine has all of that sim/CMakeLists.txt compiles with. NESTWALK_ISA=portable|avx2|avx512 in the environment forces one
 * (for tests and measurements); one that this machine lacks is ignored. */
enum isa isa_chosen(void);

#endif
