// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import { ERC20 } from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @notice Takes 1 % of every transfer.
contract FeeToken is ERC20("Fee", "FEE") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 amount) internal override {
        super._update(from, to, amount);
        if (from != address(0) && to != address(0)) super._update(to, address(0xfee), amount / 100);
    }
}

/// @notice Delivers what it is told to, and can call back before or after it does: during transfers in and out.
contract HookToken is ERC20("Hook", "HOOK") {
    address public target;
    bytes public call;
    bool public before;
    bool public failed;
    bytes public result;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @notice Arms the next transfer with one call.
    function arm(address target_, bytes calldata call_, bool before_) external {
        (target, call, before) = (target_, call_, before_);
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (before) _fire();
        super.transfer(to, amount);
        _fire();
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        if (before) _fire();
        super.transferFrom(from, to, amount);
        _fire();
        return true;
    }

    function _fire() private {
        address to = target;
        if (to == address(0)) return;
        target = address(0);
        bool ok;
        (ok, result) = to.call(call);
        failed = !ok;
    }
}

/// @notice Answers every metadata call with the same bytes.
contract OddMetadataToken {
    bool private _ok;
    bytes private _answer;

    function set(bool ok, bytes calldata answer) external {
        (_ok, _answer) = (ok, answer);
    }

    function name() external view {
        _reply();
    }

    function symbol() external view {
        _reply();
    }

    function decimals() external view {
        _reply();
    }

    function _reply() private view {
        bool ok = _ok;
        bytes memory answer = _answer;
        assembly ("memory-safe") {
            switch ok
            case 0 {
                revert(add(answer, 32), mload(answer))
            }
            default {
                return(add(answer, 32), mload(answer))
            }
        }
    }
}

/// @notice Moves without returning anything, as USDT does.
contract NoReturnToken {
    mapping(address owner => uint256) public balanceOf;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function transfer(address to, uint256 amount) external {
        _move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        _move(from, to, amount);
    }

    function _move(address from, address to, uint256 amount) private {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
    }
}

/// @notice Says what it is told to, and moves what it likes: nothing, too much, or the other way.
contract LyingToken {
    mapping(address owner => uint256) public balanceOf;
    bool private _says = true;
    int256 private _moves;

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function set(bool says, int256 moves) external {
        (_says, _moves) = (says, moves);
    }

    function transferFrom(address, address to, uint256) external returns (bool) {
        balanceOf[to] = uint256(int256(balanceOf[to]) + _moves);
        return _says;
    }
}

/// @notice Behaves until told otherwise: balances that shrink or grow by themselves, transfers that answer `false` or
/// revert with or without a reason, accounts that are blocked.
contract MoodyToken is ERC20("Moody", "MOODY") {
    enum Mood {
        FINE,
        SAYS_FALSE,
        REVERTS_BLANK,
        REVERTS_BY_NAME,
        REVERTS_ODDLY,
        SAYS_NOTHING_OF_BALANCES,
        SAYS_TOO_LITTLE_OF_BALANCES
    }

    error Refused(address from, address to, uint256 amount);

    Mood public mood;
    mapping(address account => bool) public isBlocked;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function feel(Mood mood_) external {
        mood = mood_;
    }

    function setBlocked(address account, bool blocked) external {
        isBlocked[account] = blocked;
    }

    /// @notice Makes of `account`'s balance what it likes.
    function rebase(address account, uint256 amount) external {
        uint256 present = super.balanceOf(account);
        if (amount > present) _mint(account, amount - present);
        else _burn(account, present - amount);
    }

    function balanceOf(address account) public view override returns (uint256) {
        if (mood == Mood.SAYS_NOTHING_OF_BALANCES) {
            assembly ("memory-safe") {
                revert(0, 0)
            }
        }
        if (mood == Mood.SAYS_TOO_LITTLE_OF_BALANCES) {
            assembly ("memory-safe") {
                return(0, 31)
            }
        }
        return super.balanceOf(account);
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        _behave(msg.sender, to, amount);
        return mood != Mood.SAYS_FALSE && super.transfer(to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        _behave(from, to, amount);
        return mood != Mood.SAYS_FALSE && super.transferFrom(from, to, amount);
    }

    function _behave(address from, address to, uint256 amount) private view {
        if (isBlocked[from] || isBlocked[to] || mood == Mood.REVERTS_BY_NAME) revert Refused(from, to, amount);
        if (mood == Mood.REVERTS_BLANK) {
            assembly ("memory-safe") {
                revert(0, 0)
            }
        }
        if (mood == Mood.REVERTS_ODDLY) {
            assembly ("memory-safe") {
                mstore(0, 1)
                revert(0, 32)
            }
        }
    }
}
