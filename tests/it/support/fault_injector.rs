//! Makes chosen calls of a program fail: a library that stands between it and the system.
//!
//! It is two things in one file: a Vulkan layer, and a preload for the C library. Tests compile it by itself,
//! without any crate, and say by the variable `FAULT` what shall happen: `KIND:N:WHAT`, at the N-th call
//! (from 1) of that kind.
//!
//! Kinds: `instance`, `allocate`, `pipeline`, `submit`, `wait` (Vulkan), `file` (writes, syncs and changes of
//! mode of unfinished files, in their order), `open` (of files that end in `.safetensors`). What: `lost` and
//! `full` fail that call and all later ones; a write that meets a full disk is done by half before. `large`
//! meets the limit on the size of files, of which the system also sends a signal; `once` is `full` for that
//! call only. `int`, `term` and `kill` send the program that signal, in the middle of a write if it is one;
//! `end` interrupts it twice and then waits for its end. `clock` alone makes the time of day jump at every
//! look; no other clock.
#![allow(clippy::missing_safety_doc)]

use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};

type Ptr = *mut c_void;
type Lookup = unsafe extern "C" fn(Ptr, *const c_char) -> Ptr;

const LOST: c_int = -4;
const OUT_OF_DEVICE_MEMORY: c_int = -2;
const EFBIG: c_int = 27;
const ENOSPC: c_int = 28;
const SIGXFSZ: c_int = 25;
const RTLD_NEXT: Ptr = -1isize as Ptr;

unsafe extern "C" {
    fn dlsym(handle: Ptr, name: *const c_char) -> Ptr;
    fn getpid() -> c_int;
    fn pause() -> c_int;
    fn kill(pid: c_int, signal: c_int) -> c_int;
    fn readlink(path: *const c_char, buffer: *mut c_char, size: usize) -> isize;
    fn __errno_location() -> *mut c_int;
}

struct Fault {
    kind: String,
    at: usize,
    what: String,
}

static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
static CALLS: AtomicUsize = AtomicUsize::new(0);

fn fault() -> Option<&'static Fault> {
    let parse = || {
        let text = std::env::var("FAULT").ok()?;
        let mut parts = text.split(':').map(str::to_owned);
        let kind = parts.next()?;
        let at = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        Some(Fault { kind, at, what: parts.next().unwrap_or_default() })
    };
    FAULT.get_or_init(parse).as_ref()
}

/// A call of this kind is made: what shall happen, and whether it is the first time that it does.
fn strike(kind: &str) -> Option<(&'static str, bool)> {
    let fault = fault()?;
    if fault.kind != kind {
        // A device that is lost is lost for everything.
        let lost = fault.what == "lost" && CALLS.load(SeqCst) >= fault.at && kind != "file";
        return lost.then_some(("lost", false));
    }
    let call = CALLS.fetch_add(1, SeqCst) + 1;
    let stays = matches!(fault.what.as_str(), "lost" | "full" | "large");
    (call == fault.at || call > fault.at && stays).then_some((fault.what.as_str(), call == fault.at))
}

/// Sends this process the signal of that name, if it is one.
unsafe fn send(what: &str) {
    let send = |signal| unsafe { kill(getpid(), signal) };
    match what {
        "int" => drop(send(2)),
        "kill" => drop(send(9)),
        "term" => drop(send(15)),
        // One request that comes as two signals.
        "echo" => {
            send(15);
            send(15);
        }
        "end" => {
            send(2);
            std::thread::sleep(std::time::Duration::from_millis(400));
            send(2);
            loop {
                unsafe { pause() };
            }
        }
        _ => {}
    }
}

/// The same for a Vulkan command: the error it shall return, or none.
unsafe fn injected(kind: &str) -> Option<c_int> {
    let (what, _) = strike(kind)?;
    match what {
        "lost" => Some(LOST),
        "full" | "once" => Some(OUT_OF_DEVICE_MEMORY),
        signal => {
            unsafe { send(signal) };
            None
        }
    }
}

// The C library.

unsafe fn next(name: &CStr) -> Ptr {
    unsafe { dlsym(RTLD_NEXT, name.as_ptr()) }
}

/// Whether this descriptor is a file that will be renamed when it is whole.
unsafe fn unfinished(fd: c_int) -> bool {
    let link = format!("/proc/self/fd/{fd}\0");
    let mut name = [0u8; 4096];
    let length = unsafe { readlink(link.as_ptr().cast(), name.as_mut_ptr().cast(), name.len()) };
    length > 0 && name[..length as usize].ends_with(b".part")
}

unsafe fn refuse(error: c_int) -> c_int {
    unsafe { *__errno_location() = error };
    -1
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn write(fd: c_int, bytes: *const c_void, size: usize) -> isize {
    let write: unsafe extern "C" fn(c_int, *const c_void, usize) -> isize =
        unsafe { std::mem::transmute(next(c"write")) };
    if fault().is_some_and(|fault| fault.kind == "file") && unsafe { unfinished(fd) } {
        match strike("file") {
            Some(("full", true)) if size > 1 => return unsafe { write(fd, bytes, size / 2) },
            Some(("full" | "once", _)) => return unsafe { refuse(ENOSPC) } as isize,
            Some(("large", _)) => {
                return unsafe {
                    kill(getpid(), SIGXFSZ);
                    refuse(EFBIG) as isize
                };
            }
            Some((signal, _)) => {
                let half = unsafe { write(fd, bytes, size / 2) };
                unsafe { send(signal) };
                return half;
            }
            None => {}
        }
    }
    unsafe { write(fd, bytes, size) }
}

/// Before the call `name` on an unfinished file; whether it shall fail.
unsafe fn spoils(fd: c_int) -> bool {
    if !fault().is_some_and(|fault| fault.kind == "file") || !unsafe { unfinished(fd) } {
        return false;
    }
    match strike("file") {
        Some(("full" | "once", _)) => true,
        Some((signal, _)) => {
            unsafe { send(signal) };
            false
        }
        None => false,
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    let fsync: unsafe extern "C" fn(c_int) -> c_int = unsafe { std::mem::transmute(next(c"fsync")) };
    if unsafe { spoils(fd) } { unsafe { refuse(ENOSPC) } } else { unsafe { fsync(fd) } }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn fchmod(fd: c_int, mode: c_uint) -> c_int {
    let fchmod: unsafe extern "C" fn(c_int, c_uint) -> c_int =
        unsafe { std::mem::transmute(next(c"fchmod")) };
    if unsafe { spoils(fd) } { unsafe { refuse(ENOSPC) } } else { unsafe { fchmod(fd, mode) } }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    let open: unsafe extern "C" fn(*const c_char, c_int, ...) -> c_int =
        unsafe { std::mem::transmute(next(c"open64")) };
    if unsafe { CStr::from_ptr(path) }.to_bytes().ends_with(b".safetensors")
        && let Some((what, _)) = strike("open")
    {
        unsafe { send(what) };
    }
    unsafe { open(path, flags, mode) }
}

#[repr(C)]
pub struct Timespec {
    seconds: c_long,
    nanoseconds: c_long,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Timespec) -> c_int {
    let real: unsafe extern "C" fn(c_int, *mut Timespec) -> c_int =
        unsafe { std::mem::transmute(next(c"clock_gettime")) };
    let outcome = unsafe { real(clock, time) };
    // 0 is the time of day.
    if clock == 0 && fault().is_some_and(|fault| fault.kind == "clock") {
        let years = CALLS.fetch_add(1, SeqCst) % 2 * 80;
        unsafe { (*time).seconds = years as c_long * 31_556_952 };
    }
    outcome
}

// The Vulkan layer. The loader hands every layer the next one's way to look up commands.

static INSTANCE_LOOKUP: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static DEVICE_LOOKUP: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
static INSTANCE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
/// The first device, which paints. The others compile shaders ahead, and nothing happens to them.
static DEVICE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
/// What it and its queues begin with: the loader's table of commands.
static TABLE: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// `VkNegotiateLayerInterface`.
#[repr(C)]
pub struct Negotiation {
    kind: c_int,
    next: Ptr,
    version: c_uint,
    instance_lookup: Lookup,
    device_lookup: Lookup,
    physical_lookup: Ptr,
}

/// `VkLayerInstanceCreateInfo` and `VkLayerDeviceCreateInfo`, as far as they are alike.
#[repr(C)]
struct Chained {
    kind: c_int,
    next: *mut Chained,
    function: c_int,
    link: *mut Link,
}

/// `VkLayerInstanceLink` and `VkLayerDeviceLink`.
#[repr(C)]
struct Link {
    next: *mut Link,
    instance_lookup: Ptr,
    device_lookup: Ptr,
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn vkNegotiateLoaderLayerInterfaceVersion(it: *mut Negotiation) -> c_int {
    unsafe {
        (*it).version = 2;
        (*it).instance_lookup = instance_lookup;
        (*it).device_lookup = device_lookup;
        (*it).physical_lookup = std::ptr::null_mut();
    }
    0
}

/// The link in what is chained behind a creation's description, which is moved on for the next layer.
unsafe fn link(description: *const c_void, kind: c_int) -> *mut Link {
    unsafe {
        let mut entry = (*description.cast::<Chained>()).next;
        while !((*entry).kind == kind && (*entry).function == 0) {
            entry = (*entry).next;
        }
        let link = (*entry).link;
        (*entry).link = (*link).next;
        link
    }
}

unsafe fn look(lookup: &AtomicPtr<c_void>, of: Ptr, name: &CStr) -> Ptr {
    let lookup: Lookup = unsafe { std::mem::transmute(lookup.load(SeqCst)) };
    unsafe { lookup(of, name.as_ptr()) }
}

unsafe extern "C" fn create_instance(description: *const c_void, allocator: Ptr, out: *mut Ptr) -> c_int {
    type Create = unsafe extern "C" fn(*const c_void, Ptr, *mut Ptr) -> c_int;
    unsafe {
        INSTANCE_LOOKUP.store((*link(description, 47)).instance_lookup, SeqCst);
        if let Some(error) = injected("instance") {
            return error;
        }
        let create: Create =
            std::mem::transmute(look(&INSTANCE_LOOKUP, std::ptr::null_mut(), c"vkCreateInstance"));
        let outcome = create(description, allocator, out);
        INSTANCE.store(*out, SeqCst);
        outcome
    }
}

unsafe extern "C" fn create_device(
    adapter: Ptr,
    description: *const c_void,
    allocator: Ptr,
    out: *mut Ptr,
) -> c_int {
    type Create = unsafe extern "C" fn(Ptr, *const c_void, Ptr, *mut Ptr) -> c_int;
    unsafe {
        let create: Create =
            std::mem::transmute(look(&INSTANCE_LOOKUP, INSTANCE.load(SeqCst), c"vkCreateDevice"));
        DEVICE_LOOKUP.store((*link(description, 48)).device_lookup, SeqCst);
        let outcome = create(adapter, description, allocator, out);
        if outcome == 0 && DEVICE.load(SeqCst).is_null() {
            DEVICE.store(*out, SeqCst);
            TABLE.store(*(*out).cast::<Ptr>(), SeqCst);
        }
        outcome
    }
}

/// Commands of the device that may fail. Registers hold more arguments than these have.
macro_rules! commands {
    ($($function:ident $kind:literal $name:literal ($of:ident: Ptr $(, $argument:ident: $type:ty)*);)*) => {
        $(unsafe extern "C" fn $function($of: Ptr $(, $argument: $type)*) -> c_int {
            unsafe {
                if *$of.cast::<Ptr>() == TABLE.load(SeqCst)
                    && let Some(error) = injected($kind)
                {
                    return error;
                }
                let next: unsafe extern "C" fn(Ptr $(, $type)*) -> c_int =
                    std::mem::transmute(look(&DEVICE_LOOKUP, DEVICE.load(SeqCst), $name));
                next($of $(, $argument)*)
            }
        })*

        unsafe fn own(name: &CStr) -> Option<Ptr> {
            $(if name == $name {
                return Some($function as Ptr);
            })*
            match name.to_bytes() {
                b"vkGetInstanceProcAddr" => Some(instance_lookup as Ptr),
                b"vkGetDeviceProcAddr" => Some(device_lookup as Ptr),
                b"vkCreateInstance" => Some(create_instance as Ptr),
                b"vkCreateDevice" => Some(create_device as Ptr),
                _ => None,
            }
        }
    };
}

commands! {
    queue_submit "submit" c"vkQueueSubmit" (queue: Ptr, count: c_uint, submits: Ptr, fence: Ptr);
    allocate_memory "allocate" c"vkAllocateMemory" (device: Ptr, info: Ptr, allocator: Ptr, out: Ptr);
    create_pipelines "pipeline" c"vkCreateComputePipelines"
        (device: Ptr, cache: Ptr, count: c_uint, infos: Ptr, allocator: Ptr, out: Ptr);
    wait_semaphores "wait" c"vkWaitSemaphores" (device: Ptr, info: Ptr, timeout: u64);
    wait_semaphores_khr "wait" c"vkWaitSemaphoresKHR" (device: Ptr, info: Ptr, timeout: u64);
    wait_fences "wait" c"vkWaitForFences" (device: Ptr, count: c_uint, fences: Ptr, all: c_uint, timeout: u64);
}

unsafe extern "C" fn instance_lookup(instance: Ptr, name: *const c_char) -> Ptr {
    unsafe {
        let own = own(CStr::from_ptr(name));
        own.unwrap_or_else(|| look(&INSTANCE_LOOKUP, instance, CStr::from_ptr(name)))
    }
}

unsafe extern "C" fn device_lookup(device: Ptr, name: *const c_char) -> Ptr {
    unsafe {
        let own = own(CStr::from_ptr(name));
        own.unwrap_or_else(|| look(&DEVICE_LOOKUP, device, CStr::from_ptr(name)))
    }
}
