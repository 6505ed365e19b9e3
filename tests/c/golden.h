/* SPDX-License-Identifier: MIT
 *
 * golden.h - the golden files of format version 1, tests/golden/v1/: their names, what is the same in several of them,
 * and how one is read. What they are is said in test_golden.c.
 */
#ifndef GOLDEN_H
#define GOLDEN_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "support.h"

#define FOLDER "tests/golden/v1/"
#define FILE_MAX 4096u
#define STORE "NitroKV-golden-1" /* 16 bytes, as random as any */
#define LOG_SALT UINT64_C(0x1122334455667788)
#define MANIFEST_SALT UINT64_C(0x99aabbccddeeff00)
#define SPARE_SALT UINT64_C(0x0123456789abcdef)
#define SNAP_SALT UINT64_C(0x5566778899aabbcc)
#define SNAP_NUMBER 3
#define DATA_SALT UINT64_C(0xdddddddd12345678)
#define DATA_NUMBER 3
#define CREATED_MS INT64_C(1700000000000)
#define FIRST_LSN UINT64_C(1)
#define LAST_LSN UINT64_C(9)

enum {
    THE_LOG,
    THE_MANIFEST,
    THE_CONTROL,
    THE_SNAPSHOT,
    MANIFEST_2,
    MERGED,
    MERGED_HINT,
    NEXT_LOG,
    MANIFEST_3,
    CONTROL_3,
    GOLDEN_FILES
};
static const char *const names[GOLDEN_FILES] = {
    "0000000001.log",  "MANIFEST",        "CONTROL",        "0000000003.snap", "MANIFEST.2",
    "0000000003.data", "0000000003.hint", "0000000002.log", "MANIFEST.3",      "CONTROL.3"};

struct image {
    uint8_t p[FILE_MAX];
    size_t bytes;
};

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof((a)[0])))

/* load: the golden file of this name. */
static inline void load(const char *name, struct image *im) {
    char path[128];
    snprintf(path, sizeof path, FOLDER "%s", name);
    FILE *f = fopen(path, "rb");
    if (f == NULL) test_fail("%s cannot be opened; run the test from the repository's root", path);
    im->bytes = fread(im->p, 1, sizeof im->p, f);
    if (ferror(f) || im->bytes == sizeof im->p)
        test_fail("%s cannot be read, or is too long", path);
    fclose(f);
}

#endif
