// Command done is the program of an image that only needs to be pulled.
package main

func main() {}
