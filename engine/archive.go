package engine

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"
)

const (
	archiveBlock    = 512       // bytes; everything in an archive begins at a multiple
	archiveFilesMax = 131_072   // NK_TAR_FILES_MAX in vfs_tar.h
	archiveNameMax  = 100       // bytes of folder, slash and name, which one field of a header holds
	archiveTimeMax  = 1<<33 - 1 // seconds since 1970, in eleven octal digits
	archiveSizeMax  = 1<<33 - 1 // bytes of a file, likewise
)

// archiveFile is a file that goes into an archive. It must not change while the archive is read.
type archiveFile struct {
	name string
	size int64
	data io.ReaderAt // of at least size bytes; for any number of goroutines
	time time.Time
}

// archive is a folder of files as one file in tar's format (POSIX ustar), the form of a backup in mode bitcask. It lies
// nowhere: where each byte of it is follows from names and sizes alone, so it can be read at any offset, and again, with
// 512 bytes of memory for each file. Its bytes are the same whenever it is made from the same files: a copy can go on
// where it was broken off. vfs_tar.c reads it; `tar xf` gives the folder back.
type archive struct {
	files []archiveFile
	heads []byte  // a header for each
	start []int64 // where each header stands, and at last the two blocks of zeros
}

// newArchive lays out an archive of the files, in this order, in a folder of this name.
func newArchive(folder string, files []archiveFile) (*archive, error) {
	if len(files) == 0 || len(files) > archiveFilesMax {
		return nil, fmt.Errorf("engine: archive %s: %d files; it holds 1 to %d: %w", folder, len(files), archiveFilesMax,
			ErrArgument)
	}
	a := &archive{files: files, heads: make([]byte, 0, len(files)*archiveBlock), start: make([]int64, 0, len(files)+1)}
	names := make(map[string]bool, len(files))
	var at int64
	for _, f := range files {
		head, err := archiveHead(folder, f)
		if err == nil && names[f.name] {
			err = errors.New("it is there twice")
		}
		if err != nil {
			return nil, fmt.Errorf("engine: archive %s: %q: %w: %w", folder, f.name, ErrArgument, err)
		}
		names[f.name] = true
		a.heads = append(a.heads, head...)
		a.start = append(a.start, at)
		at += archiveBlock + (f.size+archiveBlock-1)/archiveBlock*archiveBlock
	}
	a.start = append(a.start, at)
	return a, nil
}

// archiveHead makes the header of a file.
func archiveHead(folder string, f archiveFile) ([]byte, error) {
	if f.size < 0 || f.size > archiveSizeMax {
		return nil, fmt.Errorf("%d is no size of a file in an archive", f.size)
	}
	if !plainName(folder) || !plainName(f.name) || len(folder)+1+len(f.name) > archiveNameMax {
		return nil, errors.New("a name must be of printable ASCII, with no slash, and 99 bytes long at most with its folder's")
	}
	// A clock that was wrong when a file was written is no reason not to back it up.
	seconds := min(max(f.time.Unix(), 0), archiveTimeMax)
	var buf bytes.Buffer
	err := tar.NewWriter(&buf).WriteHeader(&tar.Header{
		Typeflag: tar.TypeReg,
		Name:     folder + "/" + f.name,
		Size:     f.size,
		Mode:     0o600,
		ModTime:  time.Unix(seconds, 0),
		Format:   tar.FormatUSTAR,
	})
	if err == nil && buf.Len() != archiveBlock {
		err = fmt.Errorf("its header has %d bytes", buf.Len())
	}
	return buf.Bytes(), err
}

func plainName(name string) bool {
	if name == "" || name == "." || name == ".." {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '/' })
}

// Size is that of the whole archive in bytes.
func (a *archive) Size() int64 { return a.start[len(a.files)] + 2*archiveBlock }

// ReadAt reads from the archive as io.ReaderAt says. Any number of goroutines may read. ErrIO: a file could not be read, or
// ended before its size.
func (a *archive) ReadAt(p []byte, offset int64) (n int, err error) {
	if offset < 0 {
		return 0, fmt.Errorf("engine: read an archive at offset %d: %w", offset, ErrArgument)
	}
	left := max(a.Size()-offset, 0)
	whole := int64(len(p)) <= left
	if !whole {
		p = p[:left]
	}
	// Which file, or the end: the last that starts at offset or before it.
	i := sort.Search(len(a.files), func(i int) bool { return a.start[i+1] > offset })
	for ; n < len(p) && err == nil; i++ {
		var got int
		got, err = a.readPart(i, p[n:], offset+int64(n)-a.start[i])
		n += got
	}
	if err == nil && !whole {
		err = io.EOF
	}
	return n, err
}

// readPart reads from part number i, a file with what belongs to it or the zeros at the end, as much as there is from `at`,
// counted from its start.
func (a *archive) readPart(i int, p []byte, at int64) (n int, err error) {
	if i == len(a.files) {
		clear(p)
		return len(p), nil
	}
	if at < archiveBlock {
		n = copy(p, a.heads[i*archiveBlock+int(at):(i+1)*archiveBlock])
		at += int64(n)
	}
	if f := &a.files[i]; n < len(p) && at < archiveBlock+f.size {
		want := min(int64(len(p)-n), archiveBlock+f.size-at)
		got, err := f.readAt(p[n:n+int(want)], at-archiveBlock)
		n += got
		at += int64(got)
		if err != nil {
			return n, err
		}
	}
	fill := min(int64(len(p)-n), a.start[i+1]-a.start[i]-at)
	clear(p[n : n+int(fill)])
	return n + int(fill), nil
}

// readAt fills p.
func (f *archiveFile) readAt(p []byte, offset int64) (int, error) {
	n, err := f.data.ReadAt(p, offset)
	switch {
	case n == len(p):
		return n, nil
	case errors.Is(err, io.EOF):
		return n, fmt.Errorf("engine: read an archive: %s ends at %d, it had %d bytes when the archive was laid out: %w", f.name,
			offset+int64(n), f.size, ErrIO)
	}
	return n, fmt.Errorf("engine: read an archive: %s at offset %d: %w: %w", f.name, offset+int64(n), ErrIO, err)
}
