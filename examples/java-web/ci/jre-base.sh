#!/bin/sh
# Makes a base image, as an OCI layout directory, of the JDK on this machine:
# a Java runtime with the modules that the application needs, and the C
# library under it. The same JDK gives the same bytes each time, so registries
# and nodes keep the layer. With a registry at hand you need none of this:
# write `base: eclipse-temurin:17-jre` in towline.yaml.
#
# usage: ci/jre-base.sh DIRECTORY
set -eu
umask 022
out=$1
modules=java.base,java.logging,java.management,java.naming,java.security.jgss,java.security.sasl,java.sql,jdk.crypto.ec,jdk.httpserver
case $(uname -m) in
x86_64) arch=amd64 ;;
aarch64) arch=arm64 ;;
*) echo "no name for the platform $(uname -m)" >&2; exit 1 ;;
esac

rm -rf "$out"
mkdir -p "$out/blobs/sha256"
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/opt" "$root/etc" "$root/tmp"
chmod 755 "$root"
chmod 1777 "$root/tmp"
echo 'app:x:65532:65532::/:/sbin/nologin' >"$root/etc/passwd"
echo 'app:x:65532:' >"$root/etc/group"

jlink --add-modules $modules --strip-debug --no-header-files --no-man-pages --output "$root/opt/java"
rm -f "$root/opt/java/lib/src.zip"
# The shared libraries that the runtime links to, at the paths it looks for.
find "$root/opt/java" -type f \( -name '*.so' -o -path '*/bin/java' \) -exec ldd {} + |
	sed -n 's/.*\(=> \|\t\)\(\/[^ ]*\) (0x.*/\2/p' | grep -v "^$root" | sort -u |
	while read -r lib; do
		mkdir -p "$root$(dirname "$lib")"
		cp -L "$lib" "$root$lib"
	done

# blob moves a file to its address and prints its descriptor.
blob() {
	sum=$(sha256sum "$1" | cut -d' ' -f1)
	size=$(wc -c <"$1")
	mv "$1" "$out/blobs/sha256/$sum"
	printf '{"mediaType":"application/vnd.oci.image.%s","digest":"sha256:%s","size":%d}' "$2" "$sum" "$size"
}

tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=gnu -C "$root" -cf "$out/layer" .
diff=$(sha256sum "$out/layer" | cut -d' ' -f1)
gzip -n "$out/layer"
layer=$(blob "$out/layer.gz" layer.v1.tar+gzip)
cat >"$out/config" <<JSON
{"created":"1970-01-01T00:00:00Z","architecture":"$arch","os":"linux","config":{"User":"65532:65532","Env":["PATH=/opt/java/bin","JAVA_HOME=/opt/java","LANG=C.UTF-8"]},"rootfs":{"type":"layers","diff_ids":["sha256:$diff"]}}
JSON
config=$(blob "$out/config" config.v1+json)
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}' "$config" "$layer" >"$out/manifest"
manifest=$(blob "$out/manifest" manifest.v1+json)
printf '{"imageLayoutVersion":"1.0.0"}' >"$out/oci-layout"
printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s]}' "$manifest" >"$out/index.json"
