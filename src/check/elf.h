/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A shared library judged by its header, without loading it: the agent never loads one, and yet has to say why a driver
 * cannot. Pure; any thread. */

#include <stddef.h>
#include <stdint.h>

#define ELF_HEAD_SIZE 64

/* Why a file of `size` bytes, which begins with the `n` bytes of `head`, cannot be loaded by a program that begins with
 * the ELF_HEAD_SIZE bytes of `own`; NULL if nothing speaks against it. */
const char *elf_misfit(const void *own, const void *head, size_t n, uint64_t size);
