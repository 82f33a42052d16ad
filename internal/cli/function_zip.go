package cli

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// zipDirectory writes the files of a directory as a zip, but for .git. Links
// are kept as links; what is no file at all is an error.
func zipDirectory(to io.Writer, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	archive := zip.NewWriter(to)
	err = fs.WalkDir(root.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && entry.Name() == ".git":
			return fs.SkipDir
		case entry.IsDir():
			return nil
		}
		return zipEntry(archive, root, path, entry)
	})
	if err != nil {
		return fmt.Errorf("pack %s: %w", dir, err)
	}
	return archive.Close()
}

func zipEntry(archive *zip.Writer, root *os.Root, path string, entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil {
		return err
	}
	header, err := zip.FileInfoHeader(info)
	if err != nil {
		return err
	}
	header.Name, header.Method = path, zip.Deflate
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := root.Readlink(path)
		if err != nil {
			return err
		}
		w, err := archive.CreateHeader(header)
		if err == nil {
			_, err = io.WriteString(w, target)
		}
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file: take it away", path)
	}
	file, err := root.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w, err := archive.CreateHeader(header)
	if err == nil {
		_, err = io.Copy(w, file)
	}
	return err
}
