package config

import (
	"crypto/sha256"
	"io"
	"strings"
)

// Digest returns a digest of the files' current content. While it equals the Digest of a [Config] that was read from
// these files, [Load] would return the same configuration.
func Digest(files []string) [sha256.Size]byte {
	var digests []byte
	for _, file := range files {
		digests = append(digests, digestOf(file)...)
	}
	return sha256.Sum256(digests)
}

// digestOf returns the digest of a file's content, or of the error if it cannot be read. That of a folder is of the names of
// the registry files in it.
func digestOf(file string) []byte {
	hash := sha256.New()
	if names, err := folderFiles(file); err == nil {
		io.WriteString(hash, strings.Join(names, "\n"))
		return hash.Sum(nil)
	}
	f, err := openRegular(file)
	if err == nil {
		_, err = io.Copy(hash, f)
		f.Close()
	}
	if err != nil {
		hash.Write([]byte(err.Error()))
	}
	return hash.Sum(nil)
}
