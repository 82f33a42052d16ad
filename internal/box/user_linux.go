package box

import (
	"fmt"
	"os"
	"path/filepath"
)

// Reachable checks that a user may enter the directories of what it runs:
// without a box it goes to them through all that lie above.
func Reachable(uid int, what string, dirs ...string) error {
	for _, dir := range dirs {
		for dir = filepath.Dir(dir); ; dir = filepath.Dir(dir) {
			info, err := os.Stat(dir)
			if err != nil {
				return fmt.Errorf("look at the way to the %s's files: %w", what, err)
			}
			if info.Mode().Perm()&0o001 == 0 {
				return fmt.Errorf("the %s's user %d cannot enter %s; run chmod o+x %s, or give Towline a data directory elsewhere", what, uid, dir, dir)
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return nil
}
