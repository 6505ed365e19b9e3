/* SPDX-License-Identifier: MIT
 *
 * vfs_tar.h - one archive file, a backup, as a folder that can only be read (L1).
 *
 * WHAT   A table of file calls over a file in tar's format, so that all the code that reads a data folder reads a
 *        backup as it is. The headers are read, and everything in them checked, when the archive is opened;
 *        what the files hold is their formats' business.
 * THREADS  Between open and close nothing changes: any thread, as struct nitro_vfs says.
 * OWNERSHIP  `under` and `mem` are borrowed until nk_tar_close; names and path are copied.
 *
 * FORMAT  POSIX ustar (IEEE 1003.1, pax), as `tar --format=ustar` and Go's archive/tar write it, in blocks of 512 bytes:
 *         for each file a header, then what is in it, filled up to whole blocks with zeros; two blocks of zeros; nothing more, or zeros
 *         up to the next multiple of 10,240 bytes.
 *   off  size  field   rule
 *     0   100  name    FOLDER/NAME, FOLDER being the same everywhere, or NAME; printable ASCII; no name twice
 *   100    24          mode and owner: not looked at
 *   124    12  size    octal; what is in it ends before the file does
 *   136    12          time: not looked at
 *   148     8  sum     octal: the sum of all bytes of the header, with eight blanks for these:
 *                     six digits, 0, a blank; or a blank, six digits, 0
 *   156     1  type    '0' (or zero): a file; '5': FOLDER itself, at most once, without contents
 *   157   100          not looked at
 *   257     8  magic   "ustar", 0, "00"; GNU tar's "ustar", two blanks, 0
 *   265    80          not looked at
 *   345   155  prefix  begins with 0: there is none
 */
#ifndef NK_VFS_TAR_H
#define NK_VFS_TAR_H

#include "base.h"

#define NK_TAR_BLOCK 512u
#define NK_TAR_FILES_MAX 131072u /* each slot (loc.h) with its hint, and two small ones */

struct nk_tar;

/* nk_tar_is: whether an open file of the table `v` begins as an archive does, and not, say, as a snapshot file: 1, 0, or
 * -errno. That it is sound is not said. */
NITRO_MUST_CHECK int nk_tar_is(const struct nitro_vfs *v, int file);

/* nk_tar_open: the archive `path`, seen through the table `under`, which is only read from. Memory in proportion to the
 * number of files in it. NITRO_ENOTFOUND, NITRO_EIO, NITRO_ENOMEM; NITRO_ECORRUPT: it is no archive, was cut short, or is
 * damaged, and *bad_at (NULL is fine; else untouched) is the offset. */
NITRO_MUST_CHECK int nk_tar_open(const char *path, const struct nitro_vfs *under,
                                 const struct nitro_mem *mem, struct nk_tar **out, uint64_t *bad_at,
                                 struct nitro_err *err);
/* nk_tar_close: closes the file; the table of nk_tar_vfs is gone. *t may be NULL, and becomes it. */
void nk_tar_close(struct nk_tar **t);

/* nk_tar_vfs: the table, borrowed until nk_tar_close. It takes no memory.
 *   dir_open  of any path gives the one folder; -ENOENT for what would lie in it as a folder: a path that goes on behind
 *             that of the archive, or ends with "retained".
 *   dir_list  the files, by name.
 *   lock      always succeeds, and keeps nobody away: what is locked can't change.
 *   sync, dir_sync  succeed: there is nothing that is not on disk.
 *   All that would change something, opening a file to write included: -EROFS. */
const struct nitro_vfs *nk_tar_vfs(const struct nk_tar *t);

/* nk_tar_check_fill: whether all that fills files up to whole blocks is zeros; opening does not ask that, since no file is the worse
 * for it. One read for each file. NITRO_OK, NITRO_ECORRUPT (*bad_at), NITRO_EIO. Any thread. */
NITRO_MUST_CHECK int nk_tar_check_fill(const struct nk_tar *t, uint64_t *bad_at,
                                       struct nitro_err *err);

/* nk_tar_bytes: size of the archive. */
uint64_t nk_tar_bytes(const struct nk_tar *t);
/* nk_tar_bad_at: where in the archive byte `offset` of the file `name` lies (its end, if the offset is beyond that); if
 * there is no such file, the end of the archive. For offsets in messages. */
uint64_t nk_tar_bad_at(const struct nk_tar *t, const char *name, uint64_t offset);

#endif
