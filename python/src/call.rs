//! Calls of what Python's code defines, from threads that Python may end meanwhile.

use std::{mem, thread};

use pyo3::{prelude::*, types::PyTuple};

/// Stands on the stack while Python's code runs above it.
///
/// Before 3.14 Python ends any thread but the main one that asks for its lock while the program comes to its end,
/// and unwinds the thread's stack. What lies on it would give back references and the lock itself, which the thread
/// does not have, and Python would abort the program. So the thread stays where it is until the process is gone, as
/// it does from 3.14 on.
struct Stay;

impl Drop for Stay {
    fn drop(&mut self) {
        // A panic has its own way out, which is caught.
        while !thread::panicking() {
            thread::park();
        }
    }
}

/// What `callable` returns, or the exception it raises.
pub(crate) fn call<'py, A>(callable: &Bound<'py, PyAny>, arguments: A) -> PyResult<Bound<'py, PyAny>>
where
    A: IntoPyObject<'py, Target = PyTuple, Output = Bound<'py, PyTuple>>,
    A::Error: Into<PyErr>,
{
    let arguments = arguments.into_pyobject(callable.py()).map_err(Into::into)?;
    // Last, so that nothing of this function goes before it does.
    let stay = Stay;
    let called = plain(callable, &arguments);
    mem::forget(stay);
    called
}

/// PyO3 declares this function as one that never unwinds, and what is compiled so ends the program if it does.
#[cfg(unix)]
#[expect(unsafe_code, reason = "the declaration of PyO3 does not say that the call may unwind")]
fn plain<'py>(callable: &Bound<'py, PyAny>, arguments: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    use pyo3::ffi::PyObject;

    unsafe extern "C-unwind" {
        fn PyObject_Call(callable: *mut PyObject, arguments: *mut PyObject, keywords: *mut PyObject) -> *mut PyObject;
    }
    // SAFETY: both pointers are those of living objects, the second one's that of a tuple, and this thread holds
    // Python's lock, as `Bound` says. Null gives no keywords. What comes back is a new reference, or null with an
    // exception set.
    unsafe {
        let returned = PyObject_Call(callable.as_ptr(), arguments.as_ptr(), std::ptr::null_mut());
        Bound::from_owned_ptr_or_err(callable.py(), returned)
    }
}

/// Elsewhere threads are ended without unwinding.
#[cfg(not(unix))]
fn plain<'py>(callable: &Bound<'py, PyAny>, arguments: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
    callable.call1(arguments)
}
