/* compiler.h - the few GNU extensions the library uses, each under one name. */
#ifndef NESTWALK_BASE_COMPILER_H
#define NESTWALK_BASE_COMPILER_H

#if !defined(__GNUC__)
#    error "nestwalk needs gcc or clang"
#endif
#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || __SIZEOF_POINTER__ != 8
#    error "nestwalk needs a 64-bit little-endian host"
#endif

#define NW_MUST_USE         __attribute__((warn_unused_result))
#define NW_PRINTF(fmt, arg) __attribute__((format(printf, fmt, arg)))
#define NW_INLINE           static inline __attribute__((always_inline, unused)) /* a template: specialised where used */
#define NW_NOINLINE         __attribute__((noinline))
#define NW_LIKELY(x)        __builtin_expect(!!(x), 1)
#define NW_UNLIKELY(x)      __builtin_expect(!!(x), 0)
#define NW_PREFETCH(p)      __builtin_prefetch((p))
#define NW_ARRAY_LEN(a)     (sizeof(a) / sizeof((a)[0]))

#endif
