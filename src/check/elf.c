/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check/elf.h"

#include <elf.h>
#include <link.h>
#include <string.h>

const char *elf_misfit(const void *own, const void *head, size_t n, uint64_t size)
{
    ElfW(Ehdr) us, it;

    memcpy(&us, own, sizeof(us));
    if (n >= EI_NIDENT && (memcmp(head, ELFMAG, SELFMAG) != 0))
        return "it is no library";
    if (n < sizeof(it))
        return "it is cut short";
    memcpy(&it, head, sizeof(it));
    if (it.e_ident[EI_CLASS] != us.e_ident[EI_CLASS] || it.e_ident[EI_DATA] != us.e_ident[EI_DATA] ||
        it.e_machine != us.e_machine)
        return "it is of another architecture";
    if (it.e_type != ET_DYN)
        return "it is no library";
    if (it.e_shoff > size || (uint64_t)it.e_shnum * it.e_shentsize > size - it.e_shoff)
        return "it is cut short";
    return NULL;
}
