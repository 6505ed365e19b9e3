package convert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// A folder is what a job makes: a store in a folder of its own beside the name that it gets at the end. Until then there is
// nothing under that name that a server could be started with.
type folder struct {
	name string // that it gets
	temp string // made by newFolder, and gone in the end
}

// newFolder makes room for a store. The name must be free, or that of an empty folder, and no file system's own.
func newFolder(name string) (*folder, error) {
	parent := filepath.Dir(name)
	if err := mustBeFree(name, parent); err != nil {
		return nil, err
	}
	temp, err := os.MkdirTemp(parent, "."+filepath.Base(name)+".converting-")
	if err != nil {
		return nil, fmt.Errorf("make a folder beside %s: %w; make the folder above it first, and see to its permissions", name, err)
	}
	return &folder{name: name, temp: temp}, nil
}

// store is where the store lies until it gets its name.
func (f *folder) store() string { return filepath.Join(f.temp, "store") }

// mustBeFree refuses now what keep couldn't do after hours.
func mustBeFree(name, parent string) error {
	there, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", name, err)
	}
	if !there.IsDir() {
		return fmt.Errorf("%s is there, and is no folder; name a new one", name)
	}
	held, err := os.ReadDir(name)
	if err != nil {
		return fmt.Errorf("look into %s: %w", name, err)
	}
	for _, e := range held {
		if e.Name() == "MANIFEST" {
			return fmt.Errorf("%s holds a store already; name a new folder", name)
		}
	}
	if len(held) > 0 {
		return fmt.Errorf("%s is not empty, it holds %s; name a new folder", name, held[0].Name())
	}
	above, err := os.Stat(parent)
	if err != nil {
		return fmt.Errorf("look at %s: %w", parent, err)
	}
	if there.Sys().(*syscall.Stat_t).Dev != above.Sys().(*syscall.Stat_t).Dev {
		return fmt.Errorf("%s is a file system of its own, which can't be put in place at the end; name a new folder in it", name)
	}
	return nil
}

// keep gives the store its name, durably.
func (f *folder) keep() error {
	// os.Rename would refuse the place of an empty folder.
	if err := syscall.Rename(f.store(), f.name); err != nil {
		return fmt.Errorf("give the finished folder its name: rename %s to %s: %w", f.store(), f.name, err)
	}
	if err := syncFolder(filepath.Dir(f.name)); err != nil {
		// Nobody can say whether the name would survive; who repeats the work must find it free.
		return errors.Join(fmt.Errorf("make the name %s durable: %w", f.name, err), os.RemoveAll(f.name))
	}
	return nil
}

// remove removes what is not kept.
func (f *folder) remove() error {
	if err := os.RemoveAll(f.temp); err != nil {
		return fmt.Errorf("remove %s, which is no store and can go: %w", f.temp, err)
	}
	return nil
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
