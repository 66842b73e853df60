/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Preloaded into a program (LD_PRELOAD): when that ends, it adds to the file that LAZY_OBJECTS names a line for each
 * library that the loader has bound lazily, "PROGRAM lazy PATH", and at last "PROGRAM looked at N".
 *
 * The loader leaves the address of its resolver in the third word of such an object's table, and nothing where all was
 * bound at once; so on the processors named below. Elsewhere nothing was looked at. */
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__x86_64__) || defined(__i386__) || defined(__aarch64__) || defined(__arm__)
static int look(struct dl_phdr_info *info, size_t size, void *userdata)
{
    const ElfW(Dyn) *dynamic = NULL;
    const uintptr_t *table = NULL;
    size_t calls = 0;
    FILE *report = userdata;
    static int looked_at;

    (void)size;
    if (!report) /* at the end */
        return looked_at;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC)
            dynamic = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++)
        if (dynamic->d_tag == DT_PLTGOT)
            table = (const uintptr_t *)dynamic->d_un.d_ptr;
        else if (dynamic->d_tag == DT_PLTRELSZ)
            calls = dynamic->d_un.d_val;
    if (calls == 0 || (uintptr_t)table < info->dlpi_addr)
        return 0;
    looked_at++;
    if (table[1] != 0 && table[2] != 0)
        fprintf(report, "%s lazy %s\n", program_invocation_short_name, info->dlpi_name);
    return 0;
}
#else
static int look(struct dl_phdr_info *info, size_t size, void *userdata)
{
    return 0;
}
#endif

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("LAZY_OBJECTS");
    FILE *report = path ? fopen(path, "ae") : NULL;

    if (!report)
        return;
    dl_iterate_phdr(look, report);
    fprintf(report, "%s looked at %d\n", program_invocation_short_name, dl_iterate_phdr(look, NULL));
    fclose(report);
}
