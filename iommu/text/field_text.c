#include "field_text.h"
#include <stdarg.h>
#include <stdio.h>

void iommu_text_add(struct iommu_text *t, const char *format, ...)
{
    if (t->used + 3 >= t->size)
        return;
    if (t->used)
        t->used += (size_t)snprintf(t->out + t->used, t->size - t->used, ", ");
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(t->out + t->used, t->size - t->used, format, ap);
    va_end(ap);
    t->used += n > 0 ? (size_t)n : 0;
    if (t->used >= t->size)
        t->used = t->size - 1;
}
