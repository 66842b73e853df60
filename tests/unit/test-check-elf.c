/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A library that cannot be loaded is known by its header, and one that can is not complained of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "check/elf.h"

#include <elf.h>
#include <link.h>
#include <string.h>

/* As a library of this machine begins, of 4096 bytes. */
static ElfW(Ehdr) library(void)
{
    ElfW(Ehdr) h = {
        .e_ident = ELFMAG, .e_type = ET_DYN, .e_machine = EM_ARM, .e_shoff = 4000, .e_shnum = 1, .e_shentsize = 64};

    h.e_ident[EI_CLASS] = ELFCLASS32;
    h.e_ident[EI_DATA] = ELFDATA2LSB;
    return h;
}

static void test_misfits(void **state)
{
    ElfW(Ehdr) own = library(), it = own;

    assert_null(elf_misfit(&own, &it, sizeof(it), 4096));
    assert_string_equal(elf_misfit(&own, &it, sizeof(it), 4063), "it is cut short");
    assert_string_equal(elf_misfit(&own, &it, sizeof(it), 100), "it is cut short");
    assert_string_equal(elf_misfit(&own, &it, 4, 4), "it is cut short");
    assert_string_equal(elf_misfit(&own, &it, 0, 0), "it is cut short");
    assert_string_equal(elf_misfit(&own, "a text, and a long one", 20, 20), "it is no library");
    it.e_machine = EM_X86_64;
    assert_string_equal(elf_misfit(&own, &it, sizeof(it), 4096), "it is of another architecture");
    it = own;
    it.e_ident[EI_CLASS] = ELFCLASS64;
    assert_string_equal(elf_misfit(&own, &it, sizeof(it), 4096), "it is of another architecture");
    it = own;
    it.e_type = ET_EXEC;
    assert_string_equal(elf_misfit(&own, &it, sizeof(it), 4096), "it is no library");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misfits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
