// task is what the tests run as a Job. Its first argument says what it does:
//
//	done   says its environment and ends well
//	fail   says three lines and ends badly
//	chatty says 3000 lines, one of them very long, and ends well
//	slow   takes three seconds and ends well
//	hang   says that it began and never ends by itself
package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	fmt.Println("task begins,", os.Args[1], "PREVIEW_HOST="+os.Getenv("PREVIEW_HOST"))
	switch os.Args[1] {
	case "done":
		fmt.Println("schema is at version 7")
	case "fail":
		fmt.Println("alter table greetings")
		fmt.Println("boom: relation does not exist")
		os.Exit(3)
	case "chatty":
		fmt.Println(strings.Repeat("x", 10_000))
		for i := range 3000 {
			fmt.Println("line", i)
		}
	case "slow":
		time.Sleep(3 * time.Second)
		fmt.Println("at last")
	case "hang":
		time.Sleep(time.Hour)
	}
}
